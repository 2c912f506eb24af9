#include "billing/rpc/budget_service.h"

#include "base/crypto/end_user.h"
#include "billing/rpc/budget_messages.h"
#include "billing/rpc/messages.h"

namespace tidegate::billing {

namespace {

Result<Uuid> read_cap_id(const std::string& text) {
  const auto id = Uuid::parse(text);
  if (id) return *id;
  return fail(Code::kInvalidArgument, "bad_id", "cap_id must be the UUID that SetCap and ListCaps print",
              "cap_id");
}

/// Who is capped, by the ids of the books.
Result<SetCap> read_cap(pqxx::work& tx, const v1::SetCapRequest& request, std::string_view pepper) {
  SetCap cap;
  TG_ASSIGN(cap.scope, scope_of({request.project(), request.key(), request.user(), request.every_user()}));
  TG_ASSIGN(cap.period, read_cap_period(request.period()));
  TG_ASSIGN(cap.amount, read_amount(request.amount(), "amount"));
  TG_TRY(check_cap_amount(cap.amount));
  TG_ASSIGN(const auto tenant, find_tenant(tx, request.tenant()));
  cap.tenant = tenant.id;
  switch (cap.scope) {
    case CapScope::kTenant:
      break;
    case CapScope::kProject: {
      TG_ASSIGN(const auto project, find_project(tx, tenant.id, request.project()));
      cap.subject = project.id.uuid;
      break;
    }
    case CapScope::kKey: {
      TG_ASSIGN(const auto key, find_key_of(tx, tenant.id, request.key()));
      cap.subject = key.uuid;
      break;
    }
    case CapScope::kUser:
      if (!request.every_user()) cap.subject = end_user_id(pepper, tenant.id, request.user());
      break;
  }
  return cap;
}

}  // namespace

template <typename Response, typename Work>
BudgetService::Reactor* BudgetService::serve(Call* call, Response* response, Work work) {
  return host_.serve(call, response,
                     [this, work = std::move(work)](const rpc::ServerCall& c) -> Result<Response> {
                       return context_.pool.run_blocking(c.deadline(), work);
                     });
}

BudgetService::Reactor* BudgetService::SetCap(Call* call, const v1::SetCapRequest* request,
                                              v1::Cap* response) {
  const Uuid id = context_.ids.next();
  const Wall now = context_.clock.wall();
  return serve(call, response, [this, request, id, now](pqxx::work& tx) -> Result<v1::Cap> {
    TG_ASSIGN(auto cap, read_cap(tx, *request, context_.pepper));
    cap.id = id;
    TG_ASSIGN(const auto row, set_cap(tx, cap, now));
    return to_message(row);
  });
}

BudgetService::Reactor* BudgetService::RemoveCap(Call* call, const v1::RemoveCapRequest* request,
                                                 v1::Cap* response) {
  const Wall now = context_.clock.wall();
  return serve(call, response, [request, now](pqxx::work& tx) -> Result<v1::Cap> {
    TG_ASSIGN(const auto id, read_cap_id(request->cap_id()));
    TG_ASSIGN(const auto row, remove_cap(tx, id, now));
    return to_message(row);
  });
}

BudgetService::Reactor* BudgetService::ListCaps(Call* call, const v1::ListCapsRequest* request,
                                                v1::ListCapsResponse* response) {
  const Wall now = context_.clock.wall();
  return serve(call, response, [request, now](pqxx::work& tx) -> Result<v1::ListCapsResponse> {
    TG_ASSIGN(const auto page, read_page(request->page()));
    std::optional<TenantId> tenant;
    if (!request->tenant().empty()) {
      TG_ASSIGN(const auto row, find_tenant(tx, request->tenant()));
      tenant = row.id;
    }
    v1::ListCapsResponse out;
    for (const auto& row : list_caps(tx, tenant, request->include_removed(), page, now))
      *out.add_caps() = to_message(row);
    return out;
  });
}

BudgetService::Reactor* BudgetService::ListCapPeriods(Call* call, const v1::ListCapPeriodsRequest* request,
                                                      v1::ListCapPeriodsResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::ListCapPeriodsResponse> {
    TG_ASSIGN(const auto id, read_cap_id(request->cap_id()));
    TG_ASSIGN(const auto page, read_page(request->page()));
    TG_ASSIGN(const auto rows, list_cap_periods(tx, id, page));
    v1::ListCapPeriodsResponse out;
    for (const auto& row : rows) *out.add_periods() = to_message(row);
    return out;
  });
}

}  // namespace tidegate::billing
