#include "billing/rpc/budget_service.h"

#include "base/core/encoding.h"
#include "base/crypto/end_user.h"
#include "billing/core/webhook_rules.h"
#include "billing/rpc/attributed.h"
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

/// A grant's id is the caller's, or `fresh`.
Result<Uuid> read_grant_id(const std::string& text, const Uuid& fresh) {
  if (text.empty() && !fresh.is_nil()) return fresh;
  const auto id = Uuid::parse(text);
  if (id) return *id;
  return fail(Code::kInvalidArgument, "bad_id", "grant_id must be a UUID", "grant_id");
}

}  // namespace

template <typename Response, typename Work>
BudgetService::Reactor* BudgetService::serve(Call* call, Response* response, Work work, const char* method) {
  auto handler = [this, work = std::move(work)](const AdminCall& c) -> Result<Response> {
    return context_.pool.run_blocking(c.deadline(), attributed(c, work));
  };
  return host_.serve(call, response, std::move(handler), method);
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
    TG_ASSIGN(const auto tenant, tenant_filter(tx, request->tenant()));
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

BudgetService::Reactor* BudgetService::CreateGrant(Call* call, const v1::CreateGrantRequest* request, v1::Grant* response) {
  const Uuid id = context_.ids.next(), tx_id = context_.ids.next();
  const Wall now = context_.clock.wall();
  return serve(call, response, [request, id, tx_id, now](pqxx::work& tx) -> Result<v1::Grant> {
    billing::CreateGrant grant;
    TG_ASSIGN(grant.id, read_grant_id(request->grant_id(), id));
    TG_ASSIGN(grant.amount, read_amount(request->amount(), "amount"));
    TG_ASSIGN(const auto tenant, find_tenant(tx, request->tenant()));
    grant.tx_id = tx_id;
    grant.wallet = tenant.wallet;
    grant.currency = tenant.currency;
    grant.name = request->name();
    grant.priority = request->priority();
    grant.expires = wall_from_unix_micros(request->expires_us());
    grant.models.assign(request->models().begin(), request->models().end());
    TG_ASSIGN(const auto row, create_grant(tx, grant, now));
    return to_message(row);
  });
}

BudgetService::Reactor* BudgetService::VoidGrant(Call* call, const v1::VoidGrantRequest* request, v1::Grant* response) {
  const Uuid tx_id = context_.ids.next();
  const Wall now = context_.clock.wall();
  return serve(call, response, [this, request, tx_id, now](pqxx::work& tx) -> Result<v1::Grant> {
    TG_ASSIGN(const auto id, read_grant_id(request->grant_id(), Uuid()));
    TG_ASSIGN(const auto row, void_grant(tx, id, tx_id, now + context_.lease_ttl, now));
    return to_message(row);
  });
}

BudgetService::Reactor* BudgetService::ListGrants(Call* call, const v1::ListGrantsRequest* request,
                                                  v1::ListGrantsResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::ListGrantsResponse> {
    TG_ASSIGN(const auto page, read_page(request->page()));
    TG_ASSIGN(const auto tenant, tenant_filter(tx, request->tenant()));
    v1::ListGrantsResponse out;
    for (const auto& row : list_grants(tx, tenant, page)) *out.add_grants() = to_message(row);
    return out;
  });
}

BudgetService::Reactor* BudgetService::SetCreditLimit(Call* call, const v1::SetCreditLimitRequest* request,
                                                      v1::Wallet* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::Wallet> {
    TG_ASSIGN(const auto limit, read_amount(request->credit_limit(), "credit_limit"));
    TG_ASSIGN(const auto tenant, find_tenant(tx, request->tenant()));
    TG_ASSIGN(const auto row, set_credit_limit(tx, tenant.wallet, limit));
    return to_message(row);
  });
}

BudgetService::Reactor* BudgetService::ListAlerts(Call* call, const v1::ListAlertsRequest* request,
                                                  v1::ListAlertsResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::ListAlertsResponse> {
    TG_ASSIGN(const auto page, read_page(request->page()));
    TG_ASSIGN(const auto tenant, tenant_filter(tx, request->tenant()));
    v1::ListAlertsResponse out;
    for (const auto& row : list_alerts(tx, tenant, page)) *out.add_alerts() = to_message(row);
    return out;
  });
}

BudgetService::Reactor* BudgetService::SetWebhook(Call* call, const v1::SetWebhookRequest* request, v1::Webhook* response) {
  std::string raw(32, '\0');
  context_.entropy.fill(raw.data(), raw.size());
  const Wall now = context_.clock.wall();
  return serve(call, response, [request, now, secret = hex_encode(raw)](pqxx::work& tx) -> Result<v1::Webhook> {
    if (!request->url().empty()) TG_TRY(check_webhook_url(request->url()));
    TG_ASSIGN(const auto tenant, find_tenant(tx, request->tenant()));
    set_webhook(tx, {tenant.id, request->url(), secret}, now);
    v1::Webhook out;
    out.set_tenant_name(tenant.name);
    out.set_url(request->url());
    if (!request->url().empty()) out.set_secret(secret);
    return out;
  });
}

}  // namespace tidegate::billing
