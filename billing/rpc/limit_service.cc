#include "billing/rpc/limit_service.h"

#include "billing/adapters/cap_store.h"
#include "billing/rpc/attributed.h"
#include "billing/rpc/limit_messages.h"
#include "billing/rpc/messages.h"

namespace tidegate::billing {

namespace {

/// Whose limit and which, by the ids of the books.
Result<SetRateLimit> read_limit(pqxx::work& tx, const v1::SetLimitRequest& request) {
  SetRateLimit limit;
  TG_ASSIGN(limit.scope, rate_scope_of(request.project(), request.key()));
  TG_TRY(check_rate_model(request.model()));
  limit.model = request.model();
  limit.numbers.requests_per_minute = request.requests_per_minute();
  limit.numbers.tokens_per_minute = request.tokens_per_minute();
  limit.numbers.tokens_per_day = request.tokens_per_day();
  limit.numbers.concurrency = request.concurrency();
  TG_TRY(check_rate_numbers(limit.numbers));
  TG_ASSIGN(const auto tenant, find_tenant(tx, request.tenant()));
  limit.tenant = tenant.id;
  if (limit.scope == CapScope::kProject) {
    TG_ASSIGN(const auto project, find_project(tx, tenant.id, request.project()));
    limit.subject = project.id.uuid;
  } else if (limit.scope == CapScope::kKey) {
    TG_ASSIGN(const auto key, find_key_of(tx, tenant.id, request.key()));
    limit.subject = key.uuid;
  }
  return limit;
}

Result<Uuid> read_limit_id(const std::string& text) {
  const auto id = Uuid::parse(text);
  if (id) return *id;
  return fail(Code::kInvalidArgument, "bad_id", "limit_id must be the UUID that SetLimit and ListLimits print",
              "limit_id");
}

}  // namespace

template <typename Response, typename Work>
LimitService::Reactor* LimitService::serve(Call* call, Response* response, Work work, const char* method) {
  auto handler = [this, work = std::move(work)](const AdminCall& c) -> Result<Response> {
    return context_.pool.run_blocking(c.deadline(), attributed(c, work));
  };
  return host_.serve(call, response, std::move(handler), method);
}

LimitService::Reactor* LimitService::SetLimit(Call* call, const v1::SetLimitRequest* request,
                                              v1::RateLimit* response) {
  const Uuid id = context_.ids.next();
  const Wall now = context_.clock.wall();
  return serve(call, response, [request, id, now](pqxx::work& tx) -> Result<v1::RateLimit> {
    TG_ASSIGN(auto limit, read_limit(tx, *request));
    limit.id = id;
    TG_ASSIGN(const auto row, set_rate_limit(tx, limit, now));
    return to_message(row);
  });
}

LimitService::Reactor* LimitService::RemoveLimit(Call* call, const v1::RemoveLimitRequest* request,
                                                 v1::RateLimit* response) {
  const Wall now = context_.clock.wall();
  return serve(call, response, [request, now](pqxx::work& tx) -> Result<v1::RateLimit> {
    TG_ASSIGN(const auto id, read_limit_id(request->limit_id()));
    TG_ASSIGN(const auto row, remove_rate_limit(tx, id, now));
    return to_message(row);
  });
}

LimitService::Reactor* LimitService::ListLimits(Call* call, const v1::ListLimitsRequest* request,
                                                v1::ListLimitsResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::ListLimitsResponse> {
    TG_ASSIGN(const auto page, read_page(request->page()));
    std::optional<TenantId> of;
    if (!request->tenant().empty()) {
      TG_ASSIGN(const auto tenant, find_tenant(tx, request->tenant()));
      of = tenant.id;
    }
    v1::ListLimitsResponse out;
    for (const auto& row : list_rate_limits(tx, of, request->include_removed(), page)) {
      *out.add_limits() = to_message(row);
    }
    return out;
  });
}

}  // namespace tidegate::billing
