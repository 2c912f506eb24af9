#include "billing/rpc/accounts_service.h"

#include <fmt/format.h>

#include "billing/adapters/cap_lease_store.h"
#include "billing/adapters/lease_store.h"
#include "billing/adapters/receipt_store.h"
#include "billing/adapters/usage_store.h"
#include "billing/rpc/budget_messages.h"
#include "billing/rpc/messages.h"

namespace tidegate::billing {

namespace {

constexpr std::size_t kGatewayIdMax = 128;
/// How far a gateway's word on the time is followed: the clock error that pricing accepts.
constexpr std::chrono::seconds kSkewMax{1};
/// Usage that comes this long after its end is worth a line in the log: a gateway was cut off, or its clock is wrong.
constexpr std::chrono::hours kLate{1};

template <typename IdType>
Result<IdType> read_id(const std::string& raw, std::string_view field) {
  if constexpr (std::is_same_v<IdType, Uuid>) {
    if (auto id = Uuid::from_bytes(raw); id && !id->is_nil()) return id;
  } else {
    if (auto id = IdType::from_bytes(raw); id && !id->is_nil()) return id;
  }
  return fail(Code::kInvalidArgument, "bad_id", fmt::format("{} must be 16 bytes, not all zero", field), std::string(field));
}

Status check_gateway(const std::string& gateway) {
  const bool is_plain = std::all_of(gateway.begin(), gateway.end(), [](char c) { return c > ' ' && c < 127 && c != '/'; });
  if (!gateway.empty() && gateway.size() <= kGatewayIdMax && is_plain) return {};
  return fail(Code::kInvalidArgument, "bad_gateway_id",
              fmt::format("gateway_id must be 1 to {} printable characters without / or space", kGatewayIdMax), "gateway_id");
}

}  // namespace

grpc::ServerWriteReactor<v1::AccountsUpdate>* AccountsService::Watch(grpc::CallbackServerContext* call,
                                                                     const v1::WatchAccountsRequest* request) {
  return hub_.watch(call, host_.gate(), request->gateway_id());
}

grpc::ServerUnaryReactor* AccountsService::OpenEpoch(grpc::CallbackServerContext* call, const v1::OpenEpochRequest* request,
                                                     v1::OpenEpochResponse* response) {
  return host_.serve(call, response,
                     [this, request](const rpc::ServerCall& c) { return open_epoch_for(*request, c.deadline()); });
}

Result<v1::OpenEpochResponse> AccountsService::open_epoch_for(const v1::OpenEpochRequest& request, Deadline deadline) {
  TG_TRY(check_gateway(request.gateway_id()));
  TG_ASSIGN(const auto boot, read_id<Uuid>(request.boot_id(), "boot_id"));
  const billing::OpenEpoch wanted{request.gateway_id(), boot, request.region()};
  const Wall now = context_.clock.wall();
  auto job = [&](pqxx::work& tx) -> Result<OpenedEpoch> {
    if (!request.receipt_key().empty()) {
      TG_TRY(register_receipt_key(tx, "gateway/" + wanted.gateway, request.deployment(), request.receipt_key(), now));
    }
    return open_epoch(tx, wanted, now);
  };
  TG_ASSIGN(const auto opened, context_.pool.run_blocking(deadline, job));
  context_.log.info("epoch_opened", {kv("gateway", wanted.gateway), kv("epoch", opened.epoch),
                                     kv("unclosed", opened.unclosed.size())});
  v1::OpenEpochResponse out;
  out.set_epoch(static_cast<std::uint64_t>(opened.epoch));
  for (const auto& unclosed : opened.unclosed) {
    auto* one = out.add_unclosed();
    one->set_epoch(static_cast<std::uint64_t>(unclosed.epoch));
    one->set_applied_through(static_cast<std::uint64_t>(unclosed.applied_through));
    one->set_receipt_link(unclosed.receipt_link);
  }
  return out;
}

grpc::ServerUnaryReactor* AccountsService::CloseEpoch(grpc::CallbackServerContext* call,
                                                      const v1::CloseEpochRequest* request,
                                                      v1::CloseEpochResponse* response) {
  auto handler = [this, request](const rpc::ServerCall& c) -> Result<v1::CloseEpochResponse> {
    const Wall now = context_.clock.wall();
    auto job = [&](pqxx::work& tx) {
      return close_epoch(tx, request->gateway_id(), static_cast<std::int64_t>(request->epoch()),
                         static_cast<std::int64_t>(request->last_sequence()), now);
    };
    TG_TRY(context_.pool.run_blocking(c.deadline(), job));
    context_.log.info("epoch_closed", {kv("gateway", request->gateway_id()), kv("epoch", request->epoch())});
    return v1::CloseEpochResponse();
  };
  return host_.serve(call, response, std::move(handler));
}

grpc::ServerUnaryReactor* AccountsService::AcquireLease(grpc::CallbackServerContext* call,
                                                        const v1::AcquireLeaseRequest* request, v1::Lease* response) {
  return host_.serve(call, response, [this, request](const rpc::ServerCall& c) { return acquire(*request, c.deadline()); });
}

Result<v1::Lease> AccountsService::acquire(const v1::AcquireLeaseRequest& request, Deadline deadline) {
  if (!request.cap_id().empty()) return acquire_of_cap(request, deadline);
  billing::AcquireLease wanted{request.gateway_id(), static_cast<std::int64_t>(request.epoch())};
  TG_ASSIGN(wanted.wallet, read_id<WalletId>(request.wallet_id(), "wallet_id"));
  TG_ASSIGN(wanted.want, read_amount(request.want(), "want"));
  TG_ASSIGN(wanted.least, read_amount(request.least(), "least"));
  TG_ASSIGN(wanted.grant, read_id<Uuid>(request.grant_id(), "grant_id"));
  wanted.new_lease = LeaseId{context_.ids.next()};
  const Mono started = context_.clock.mono();
  const Wall now = context_.clock.wall();
  wanted.expires = now + context_.lease_ttl;
  auto granted = context_.pool.run_blocking(deadline, [&](pqxx::work& tx) { return acquire_lease(tx, wanted, now); });
  context_.metrics.lease_seconds.observe(std::chrono::duration<double>(context_.clock.mono() - started).count());  // seconds
  if (!granted) {
    if (granted.error().reason == "insufficient_balance") context_.metrics.leases_refused.add();
    return fail(granted.error());
  }
  context_.metrics.leases_granted.add();
  return to_message(*granted);
}

Result<v1::Lease> AccountsService::acquire_of_cap(const v1::AcquireLeaseRequest& request, Deadline deadline) {
  AcquireCapLease wanted;
  wanted.gateway = request.gateway_id();
  wanted.epoch = static_cast<std::int64_t>(request.epoch());
  TG_ASSIGN(wanted.cap, read_id<Uuid>(request.cap_id(), "cap_id"));
  if (!request.end_user().empty()) {
    TG_ASSIGN(wanted.end_user, read_id<Uuid>(request.end_user(), "end_user"));
  }
  TG_ASSIGN(wanted.want, read_amount(request.want(), "want"));
  TG_ASSIGN(wanted.least, read_amount(request.least(), "least"));
  TG_ASSIGN(wanted.grant, read_id<Uuid>(request.grant_id(), "grant_id"));
  wanted.new_lease = LeaseId{context_.ids.next()};
  wanted.new_period = context_.ids.next();
  const Mono started = context_.clock.mono();
  const Wall now = context_.clock.wall();
  wanted.expires = now + context_.lease_ttl;
  // The gateway says which period its request begins in: at midnight both clocks must mean the same one.
  wanted.at = request.at_us() == 0
                  ? now
                  : std::clamp(wall_from_unix_micros(request.at_us()), now - kSkewMax, now + kSkewMax);
  auto granted =
      context_.pool.run_blocking(deadline, [&](pqxx::work& tx) { return acquire_cap_lease(tx, wanted); });
  context_.metrics.lease_seconds.observe(
      std::chrono::duration<double>(context_.clock.mono() - started).count());  // seconds
  if (!granted) {
    if (granted.error().reason == "budget_exceeded") context_.metrics.leases_refused.add();
    return fail(granted.error());
  }
  context_.metrics.leases_granted.add();
  return cap_lease_message(*granted);
}

grpc::ServerUnaryReactor* AccountsService::ReturnLease(grpc::CallbackServerContext* call,
                                                       const v1::ReturnLeaseRequest* request, v1::Lease* response) {
  return host_.serve(call, response, [this, request](const rpc::ServerCall& c) { return give_back(*request, c.deadline()); });
}

Result<v1::Lease> AccountsService::give_back(const v1::ReturnLeaseRequest& request, Deadline deadline) {
  billing::ReturnLease back{request.gateway_id(), static_cast<std::int64_t>(request.epoch())};
  TG_ASSIGN(back.lease, read_id<LeaseId>(request.lease_id(), "lease_id"));
  TG_ASSIGN(back.amount, read_amount(request.amount(), "amount"));
  TG_ASSIGN(back.return_id, read_id<Uuid>(request.return_id(), "return_id"));
  const Mono started = context_.clock.mono();
  const Wall now = context_.clock.wall();
  auto returned = context_.pool.run_blocking(deadline, [&](pqxx::work& tx) -> Result<v1::Lease> {
    if (request.is_cap_lease()) {
      TG_ASSIGN(const auto row, return_cap_lease(tx, back));
      return cap_lease_message(row);
    }
    TG_ASSIGN(const auto row, return_lease(tx, back, now));
    return to_message(row);
  });
  context_.metrics.lease_seconds.observe(std::chrono::duration<double>(context_.clock.mono() - started).count());  // seconds
  if (!returned) return fail(returned.error());
  context_.metrics.leases_returned.add();
  return returned;
}

grpc::ServerUnaryReactor* AccountsService::SubmitUsage(grpc::CallbackServerContext* call, const v1::UsageBatch* request,
                                                       v1::UsageAck* response) {
  return host_.serve(call, response, [this, request](const rpc::ServerCall& c) { return submit(*request, c.deadline()); });
}

Result<v1::UsageAck> AccountsService::submit(const v1::UsageBatch& request, Deadline deadline) {
  const Mono started = context_.clock.mono();
  auto applied = [&]() -> Result<AppliedBatch> {
    TG_ASSIGN(const auto batch, read_batch(request));
    const UsageContext usage{&context_.prices, &dimensions_, &context_.ids, context_.tzdata, context_.clock.wall()};
    return context_.pool.run_blocking(deadline, [&](pqxx::work& tx) { return apply_usage(tx, batch, usage); });
  }();
  context_.metrics.usage_batch_seconds.observe(std::chrono::duration<double>(context_.clock.mono() - started).count());  // seconds
  if (!applied) {
    const Code code = applied.error().code;
    if (code == Code::kInvalidArgument || code == Code::kFailedPrecondition) {
      context_.metrics.usage_refusals.add();
      context_.log.error("usage_refused", {kv("gateway", request.gateway_id()), kv("epoch", request.epoch()),
                                           kv("error", applied.error().to_string())});
    }
    return fail(applied.error());
  }
  context_.metrics.usage_batches.add();
  context_.metrics.usage_events.add(static_cast<double>(applied->applied));         // metric
  context_.metrics.usage_duplicates.add(static_cast<double>(applied->duplicates));  // metric
  if (applied->applied > 0) {
    const double delay = std::chrono::duration<double>(applied->oldest).count();  // seconds
    context_.metrics.usage_delay_seconds.observe(delay);
    if (applied->oldest > kLate) {
      context_.log.warn("usage_late", {kv("gateway", request.gateway_id()), kv("epoch", request.epoch()),
                                       kv("events", applied->applied), kv("oldest_seconds", delay)});
    }
  }
  v1::UsageAck out;
  out.set_applied_through(static_cast<std::uint64_t>(applied->applied_through));
  return out;
}

}  // namespace tidegate::billing
