#include "billing/rpc/ledger_service.h"

#include "billing/adapters/ledger_store.h"
#include "billing/rpc/attributed.h"
#include "billing/rpc/messages.h"

namespace tidegate::billing {

namespace {

Result<AdjustmentKind> read_kind(v1::AdjustmentKind kind) {
  switch (kind) {
    case v1::ADJUSTMENT_KIND_REFUND: return AdjustmentKind::kRefund;
    case v1::ADJUSTMENT_KIND_CREDIT_NOTE: return AdjustmentKind::kCreditNote;
    case v1::ADJUSTMENT_KIND_CORRECTION: return AdjustmentKind::kCorrection;
    default: return fail(Code::kInvalidArgument, "bad_kind", "kind is a refund, a credit note or a correction", "kind");
  }
}

Result<Uuid> read_uuid(const std::string& text, const char* field) {
  auto id = Uuid::parse(text);
  if (!id) return fail(Code::kInvalidArgument, "bad_uuid", std::string(field) + " is a UUID of the caller's choice", field);
  return id;
}

v1::AdjustResponse adjusted_message(const Adjusted& adjusted) {
  v1::AdjustResponse out;
  out.set_tx_id(adjusted.tx_id.to_string());
  *out.mutable_wallet() = billing::to_message(adjusted.wallet);
  return out;
}

v1::RerateResponse rerate_message(const RerateProgress& progress, const std::string& run) {
  v1::RerateResponse out;
  out.set_is_finished(progress.is_finished);
  out.set_scanned(progress.scanned);
  out.set_changed(progress.changed);
  out.set_dearer(progress.dearer);
  out.set_unpriced(progress.unpriced);
  for (const auto& [currency, totals] : progress.totals) {
    auto* total = out.add_totals();
    total->set_currency(currency);
    total->set_before(totals.before.to_string());
    total->set_after(totals.after.to_string());
  }
  out.set_run_id(run);
  return out;
}

}  // namespace

grpc::ServerUnaryReactor* LedgerService::Adjust(grpc::CallbackServerContext* call, const v1::AdjustRequest* request,
                                                v1::AdjustResponse* response) {
  return host_.serve(call, response, [this, request](const AdminCall& c) { return adjust_wallet(*request, c); });
}

Result<v1::AdjustResponse> LedgerService::adjust_wallet(const v1::AdjustRequest& request, const AdminCall& call) {
  Adjustment wanted;
  TG_ASSIGN(wanted.kind, read_kind(request.kind()));
  TG_ASSIGN(wanted.amount, read_amount(request.amount(), "amount"));
  TG_ASSIGN(wanted.request_id, read_uuid(request.request_id(), "request_id"));
  wanted.tx_id = context_.ids.next();
  wanted.actor = request.actor();
  wanted.note = request.note();
  const Wall now = context_.clock.wall();
  auto job = [&](pqxx::work& tx) -> Result<Adjusted> {
    TG_ASSIGN(const auto tenant, find_tenant(tx, request.tenant()));
    wanted.wallet = tenant.wallet;
    return adjust(tx, wanted, now, dimensions_);
  };
  TG_ASSIGN(const auto adjusted, context_.pool.run_blocking(call.deadline(), attributed(call, job)));
  context_.log.info("adjusted", {kv("kind", std::string(adjustment_name(wanted.kind))), kv("wallet", adjusted.wallet.id.to_string()),
                                 kv("amount", wanted.amount.to_string()), kv("tx", adjusted.tx_id.to_string()), kv("actor", wanted.actor)});
  return adjusted_message(adjusted);
}

grpc::ServerUnaryReactor* LedgerService::Reverse(grpc::CallbackServerContext* call, const v1::ReverseRequest* request,
                                                 v1::AdjustResponse* response) {
  return host_.serve(call, response, [this, request](const AdminCall& c) { return reverse_tx(*request, c); });
}

Result<v1::AdjustResponse> LedgerService::reverse_tx(const v1::ReverseRequest& request, const AdminCall& call) {
  Reversal wanted;
  TG_ASSIGN(wanted.reverses, read_uuid(request.tx_id(), "tx_id"));
  TG_ASSIGN(wanted.request_id, read_uuid(request.request_id(), "request_id"));
  wanted.tx_id = context_.ids.next();
  wanted.actor = request.actor();
  wanted.note = request.note();
  const Wall now = context_.clock.wall();
  auto job = [&](pqxx::work& tx) { return reverse(tx, wanted, now, dimensions_); };
  TG_ASSIGN(const auto adjusted, context_.pool.run_blocking(call.deadline(), attributed(call, job)));
  context_.log.info("reversed", {kv("reverses", request.tx_id()), kv("tx", adjusted.tx_id.to_string()), kv("actor", wanted.actor)});
  return adjusted_message(adjusted);
}

grpc::ServerUnaryReactor* LedgerService::Rerate(grpc::CallbackServerContext* call, const v1::RerateRequest* request,
                                                v1::RerateResponse* response) {
  return host_.serve(call, response, [this, request](const AdminCall& c) { return rerate(*request, c); });
}

Result<v1::RerateResponse> LedgerService::rerate(const v1::RerateRequest& request, const AdminCall& call) {
  RerateRequest wanted{{}, wall_from_unix_micros(request.from_us()), wall_from_unix_micros(request.to_us()), request.model(),
                       request.allow_debit(), request.actor(), request.note()};
  RerateProgress progress;
  if (!request.dry_run()) {
    TG_ASSIGN(wanted.run, read_uuid(request.run_id(), "run_id"));
    const Wall now = context_.clock.wall();
    auto begin = [&](pqxx::work& tx) { return start_rerate(tx, wanted, now); };
    TG_ASSIGN(progress, context_.pool.run_blocking(call.deadline(), attributed(call, begin)));
  }
  while (!progress.is_finished) {
    if (call.deadline().remaining(context_.clock.mono()) < kStepReserve) break;
    const UsageContext usage{&context_.prices, &dimensions_, &context_.ids, context_.tzdata, context_.clock.wall()};
    auto step = [&](pqxx::work& tx) {
      return request.dry_run() ? rerate_dry_step(tx, wanted, progress, usage) : rerate_step(tx, wanted, usage);
    };
    TG_ASSIGN(progress, context_.pool.run_blocking(call.deadline(), attributed(call, step)));
  }
  context_.log.info("rerated", {kv("run", request.run_id()), kv("dry_run", request.dry_run()), kv("finished", progress.is_finished),
                                kv("scanned", progress.scanned), kv("changed", progress.changed)});
  return rerate_message(progress, request.run_id());
}

}  // namespace tidegate::billing
