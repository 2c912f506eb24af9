#include "billing/rpc/pricing_service.h"

#include "billing/adapters/allowance_file.h"
#include "billing/adapters/allowance_store.h"
#include "billing/adapters/price_preview.h"
#include "billing/adapters/price_store.h"
#include "billing/rpc/attributed.h"
#include "billing/rpc/messages.h"

namespace tidegate::billing {

namespace {

v1::AllowancePlan plan_message(const AllowancePlan& plan) {
  v1::AllowancePlan out;
  out.set_id(plan.id);
  out.set_name(plan.name);
  out.set_kind(std::string(allowance_kind_name(plan.kind)));
  out.set_tenant(plan.tenant);
  out.set_model(plan.model);
  out.set_currency(plan.currency);
  for (const auto meter : plan.meters) out.add_meters(std::string(price::meter_name(meter)));
  for (const QuantityTier& tier : plan.tiers) {
    auto* part = out.add_tiers();
    part->set_over(tier.over);
    part->set_micro_per_million(tier.rate.micro_per_million());
  }
  out.set_free_tokens(plan.free_tokens);
  out.set_effective_from_us(unix_micros(plan.effective_from));
  if (plan.effective_to) out.set_effective_to_us(unix_micros(*plan.effective_to));
  return out;
}

v1::PreviewPricesResponse preview_message(const PreviewProgress& progress) {
  v1::PreviewPricesResponse out;
  for (const auto& [key, sum] : progress.lines) {
    auto* line = out.add_lines();
    line->set_model(key.first);
    line->set_currency(key.second);
    line->set_requests(sum.requests);
    line->set_dearer(sum.dearer);
    line->set_cheaper(sum.cheaper);
    line->set_unpriced(sum.unpriced);
    line->set_before(sum.before.to_string());
    line->set_after(sum.after.to_string());
  }
  out.set_is_finished(progress.is_finished);
  out.set_cursor(progress.cursor.to_string());
  return out;
}

}  // namespace

grpc::ServerUnaryReactor* PricingService::WithdrawPrice(grpc::CallbackServerContext* call,
                                                        const v1::WithdrawPriceRequest* request,
                                                        v1::WithdrawPriceResponse* response) {
  return host_.serve(call, response, [this, request](const AdminCall& c) { return withdraw(*request, c); });
}

Result<v1::WithdrawPriceResponse> PricingService::withdraw(const v1::WithdrawPriceRequest& request,
                                                           const AdminCall& call) {
  if ((request.price_version() != 0) == (request.modifier() != 0)) {
    return fail(Code::kInvalidArgument, "bad_withdrawal", "name a price version or a modifier, by its number", "id");
  }
  const Wall now = context_.clock.wall();
  auto job = [&](pqxx::work& tx) -> Result<v1::WithdrawPriceResponse> {
    v1::WithdrawPriceResponse out;
    if (request.modifier() != 0) {
      TG_ASSIGN(const auto modifier, withdraw_modifier(tx, request.modifier(), now, context_.price_lead));
      *out.mutable_modifier() = billing::to_message(modifier);
      return out;
    }
    TG_ASSIGN(const auto plan, withdraw_price(tx, request.price_version(), now, context_.price_lead));
    *out.mutable_price() = billing::to_message(plan.withdrawn);
    if (plan.resumed) out.set_resumed_version(plan.resumed->id);
    return out;
  };
  TG_ASSIGN(auto out, context_.pool.run_blocking(call.deadline(), attributed(call, job)));
  context_.log.info("price_withdrawn", {kv("version", request.price_version()), kv("modifier", request.modifier()),
                                        kv("resumed", out.resumed_version())});
  return out;
}

grpc::ServerUnaryReactor* PricingService::PreviewPrices(grpc::CallbackServerContext* call,
                                                        const v1::PreviewPricesRequest* request,
                                                        v1::PreviewPricesResponse* response) {
  return host_.serve(call, response, [this, request](const AdminCall& c) { return preview(*request, c); });
}

Result<v1::PreviewPricesResponse> PricingService::preview(const v1::PreviewPricesRequest& request,
                                                          const AdminCall& call) {
  TG_ASSIGN(const auto file, price::parse_price_file(request.file_json()));
  const Wall from = wall_from_unix_micros(request.from_us()), to = wall_from_unix_micros(request.to_us());
  PreviewProgress progress;
  if (!request.cursor().empty()) {
    const auto cursor = Uuid::parse(request.cursor());
    if (!cursor) return fail(Code::kInvalidArgument, "bad_cursor", "cursor is the one of the answer before", "cursor");
    progress.cursor = *cursor;
  }
  auto read = [&](pqxx::work& tx) { return load_preview_book(tx, file, from, to); };
  TG_ASSIGN(const auto book, context_.pool.run_blocking(call.deadline(), read));
  while (!progress.is_finished) {
    if (call.deadline().remaining(context_.clock.mono()) < kStepReserve) break;
    auto step = [&](pqxx::work& tx) -> Result<PreviewProgress> { return preview_step(tx, book, from, to, progress); };
    TG_ASSIGN(progress, context_.pool.run_blocking(call.deadline(), step));
  }
  return preview_message(progress);
}

grpc::ServerUnaryReactor* PricingService::LoadAllowances(grpc::CallbackServerContext* call,
                                                         const v1::LoadAllowancesRequest* request,
                                                         v1::LoadAllowancesResponse* response) {
  return host_.serve(call, response, [this, request](const AdminCall& c) -> Result<v1::LoadAllowancesResponse> {
    TG_ASSIGN(const auto plans, parse_allowance_file(request->file_json()));
    const Wall now = context_.clock.wall();
    auto job = [&](pqxx::work& tx) { return publish_allowances(tx, plans, now); };
    TG_ASSIGN(const auto done, context_.pool.run_blocking(c.deadline(), attributed(c, job)));
    context_.log.info("allowances_published", {kv("added", done.add.size()), kv("ended", done.ends.size())});
    v1::LoadAllowancesResponse out;
    out.set_added(static_cast<std::int32_t>(done.add.size()));
    out.set_ended(static_cast<std::int32_t>(done.ends.size()));
    out.set_unchanged(done.unchanged);
    return out;
  });
}

grpc::ServerUnaryReactor* PricingService::ListAllowances(grpc::CallbackServerContext* call,
                                                         const v1::ListAllowancesRequest* request,
                                                         v1::ListAllowancesResponse* response) {
  return host_.serve(call, response, [this, request](const AdminCall& c) -> Result<v1::ListAllowancesResponse> {
    auto job = [](pqxx::work& tx) -> Result<std::vector<AllowancePlan>> { return load_allowances(tx); };
    TG_ASSIGN(const auto plans, context_.pool.run_blocking(c.deadline(), job));
    const Wall now = context_.clock.wall();
    v1::ListAllowancesResponse out;
    for (const AllowancePlan& plan : plans) {
      if (plan.effective_to && *plan.effective_to <= now && !request->include_past()) continue;
      *out.add_allowances() = plan_message(plan);
    }
    return out;
  });
}

}  // namespace tidegate::billing
