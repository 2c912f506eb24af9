#include "billing/rpc/admin_service.h"

#include <fmt/format.h>

#include "base/crypto/api_key.h"
#include "base/price/price_file.h"
#include "billing/core/account_rules.h"
#include "billing/core/key_rules.h"
#include "billing/rpc/attributed.h"
#include "billing/rpc/messages.h"

namespace tidegate::billing {

namespace {

std::optional<Wall> instant(std::int64_t micros) {
  if (micros == 0) return std::nullopt;
  return wall_from_unix_micros(micros);
}

template <typename Message, typename Rows>
void add_all(const Rows& rows, google::protobuf::RepeatedPtrField<Message>* out) {
  for (const auto& row : rows) *out->Add() = to_message(row);
}

}  // namespace

template <typename Response, typename Work>
AdminService::Reactor* AdminService::serve(Call* call, Response* response, Work work, const char* method) {
  auto handler = [this, work = std::move(work)](const AdminCall& c) -> Result<Response> {
    return context_.pool.run_blocking(c.deadline(), attributed(c, work));
  };
  return host_.serve(call, response, std::move(handler), method);
}

AdminService::Reactor* AdminService::CreateTenant(Call* call, const v1::CreateTenantRequest* request, v1::Tenant* response) {
  TenantRow row;
  row.id = TenantId{context_.ids.next()};
  row.wallet = WalletId{context_.ids.next()};
  row.name = request->name();
  row.billing_tz = request->billing_tz().empty() ? "UTC" : request->billing_tz();
  row.currency = request->currency().empty() ? "USD" : request->currency();
  row.created = context_.clock.wall();
  return serve(call, response, [row, request](pqxx::work& tx) -> Result<v1::Tenant> {
    TG_TRY(check_tenant(row.name, row.billing_tz, row.currency));
    TG_ASSIGN(const auto limit, read_amount(request->credit_limit(), "credit_limit", true));
    if (limit.is_negative()) return fail(Code::kInvalidArgument, "bad_amount", "credit_limit must be >= 0", "credit_limit");
    TG_ASSIGN(const auto made, insert_tenant(tx, row, limit));
    return to_message(made);
  });
}

AdminService::Reactor* AdminService::ListTenants(Call* call, const v1::ListTenantsRequest* request,
                                                 v1::ListTenantsResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::ListTenantsResponse> {
    TG_ASSIGN(const auto page, read_page(request->page()));
    v1::ListTenantsResponse out;
    add_all(list_tenants(tx, page), out.mutable_tenants());
    return out;
  });
}

AdminService::Reactor* AdminService::SuspendTenant(Call* call, const v1::SuspendTenantRequest* request,
                                                   v1::Tenant* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::Tenant> {
    TG_ASSIGN(const auto row, suspend_tenant(tx, request->tenant_id(), request->is_suspended()));
    return to_message(row);
  });
}

AdminService::Reactor* AdminService::SetTenantRegions(Call* call, const v1::SetTenantRegionsRequest* request,
                                                      v1::Tenant* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::Tenant> {
    TG_ASSIGN(auto regions, read_regions({request->regions().begin(), request->regions().end()}));
    TG_ASSIGN(const auto row, set_tenant_regions(tx, request->tenant(), std::move(regions)));
    return to_message(row);
  });
}

AdminService::Reactor* AdminService::SetTenantShare(Call* call, const v1::SetTenantShareRequest* request,
                                                    v1::Tenant* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::Tenant> {
    TG_TRY(check_share(request->queue_weight(), request->tier_max()));
    TG_ASSIGN(const auto row,
              set_tenant_share(tx, request->tenant_id(), request->queue_weight(), request->tier_max()));
    return to_message(row);
  });
}

AdminService::Reactor* AdminService::CreateProject(Call* call, const v1::CreateProjectRequest* request,
                                                   v1::Project* response) {
  ProjectRow row;
  row.id = ProjectId{context_.ids.next()};
  row.name = request->name();
  row.created = context_.clock.wall();
  return serve(call, response, [row, request](pqxx::work& tx) mutable -> Result<v1::Project> {
    TG_TRY(check_name(row.name, "name"));
    TG_ASSIGN(const auto tenant, find_tenant(tx, request->tenant()));
    row.tenant = tenant.id;
    TG_ASSIGN(const auto made, insert_project(tx, row));
    return to_message(made);
  });
}

AdminService::Reactor* AdminService::ListProjects(Call* call, const v1::ListProjectsRequest* request,
                                                  v1::ListProjectsResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::ListProjectsResponse> {
    TG_ASSIGN(const auto page, read_page(request->page()));
    TG_ASSIGN(const auto tenant, tenant_filter(tx, request->tenant()));
    v1::ListProjectsResponse out;
    add_all(list_projects(tx, tenant, page), out.mutable_projects());
    return out;
  });
}

AdminService::Reactor* AdminService::CreateKey(Call* call, const v1::CreateKeyRequest* request,
                                               v1::CreateKeyResponse* response) {
  const MintedKey minted = mint_api_key(context_.entropy, KeyKind::kTenant);
  KeyRow row;
  row.id = ApiKeyId{context_.ids.next()};
  row.public_id = minted.public_id;
  row.name = request->name();
  row.models.assign(request->models().begin(), request->models().end());
  row.created = context_.clock.wall();
  row.expires = instant(request->expires_us());
  const Digest mac = api_key_mac(context_.pepper, minted.text);
  return serve(call, response, [row, mac, text = minted.text, request,
                               limits = context_.keys](pqxx::work& tx) mutable -> Result<v1::CreateKeyResponse> {
    TG_TRY(check_key(row.name, row.models, row.created, row.expires));
    TG_ASSIGN(row.scopes, read_scopes({request->scopes().begin(), request->scopes().end()}));
    TG_ASSIGN(row.sources, read_sources({request->sources().begin(), request->sources().end()}));
    TG_ASSIGN(const auto tenant, find_tenant(tx, request->tenant()));
    TG_ASSIGN(const auto project, find_project(tx, tenant.id, request->project()));
    row.tenant = tenant.id;
    row.project = project.id;
    TG_ASSIGN(const auto made, insert_key(tx, row, as_view(mac), limits));
    v1::CreateKeyResponse out;
    *out.mutable_key() = to_message(made);
    out.set_secret(text);
    return out;
  });
}

AdminService::Reactor* AdminService::ListKeys(Call* call, const v1::ListKeysRequest* request, v1::ListKeysResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::ListKeysResponse> {
    TG_ASSIGN(const auto page, read_page(request->page()));
    TG_ASSIGN(const auto tenant, tenant_filter(tx, request->tenant()));
    v1::ListKeysResponse out;
    add_all(list_keys(tx, tenant, page), out.mutable_keys());
    return out;
  });
}

AdminService::Reactor* AdminService::RevokeKey(Call* call, const v1::RevokeKeyRequest* request, v1::ApiKey* response) {
  const Wall now = context_.clock.wall();
  return serve(call, response, [request, now](pqxx::work& tx) -> Result<v1::ApiKey> {
    TG_ASSIGN(const auto row, revoke_key(tx, request->key_id(), now));
    return to_message(row);
  });
}

AdminService::Reactor* AdminService::RotateKey(Call* call, const v1::RotateKeyRequest* request,
                                               v1::RotateKeyResponse* response) {
  const MintedKey minted = mint_api_key(context_.entropy, KeyKind::kTenant);
  const Wall now = context_.clock.wall();
  billing::RotateKey wanted;
  wanted.successor = ApiKeyId{context_.ids.next()};
  wanted.public_id = minted.public_id;
  wanted.mac = std::string(as_view(api_key_mac(context_.pepper, minted.text)));
  wanted.overlap = std::chrono::microseconds(request->overlap_us());
  wanted.expires = instant(request->expires_us());
  return serve(call, response,
               [wanted, now, text = minted.text, request,
                limits = context_.keys](pqxx::work& tx) mutable -> Result<v1::RotateKeyResponse> {
                 wanted.key = request->key_id();
                 TG_ASSIGN(const auto keys, rotate_key(tx, wanted, limits, now));
                 v1::RotateKeyResponse out;
                 *out.mutable_key() = to_message(keys.successor);
                 *out.mutable_replaced() = to_message(keys.old);
                 out.set_secret(text);
                 return out;
               });
}

AdminService::Reactor* AdminService::CreateAdminKey(Call* call, const v1::CreateAdminKeyRequest* request,
                                                    v1::CreateAdminKeyResponse* response) {
  const MintedKey minted = mint_api_key(context_.entropy, KeyKind::kAdmin);
  const Digest mac = api_key_mac(context_.pepper, minted.text);
  AdminKeyRow row;
  row.id = context_.ids.next();
  row.public_id = minted.public_id;
  row.name = request->name();
  row.created = context_.clock.wall();
  row.expires = instant(request->expires_us());
  auto handler = [this, row, mac, text = minted.text,
                  request](const AdminCall& c) mutable -> Result<v1::CreateAdminKeyResponse> {
    TG_TRY(check_key(row.name, {}, row.created, row.expires));
    TG_ASSIGN(row.role, read_admin_role(request->role()));
    const AdminCaller& caller = c.caller();
    auto work = [&](pqxx::work& tx) -> Result<v1::CreateAdminKeyResponse> {
      if (!request->tenant().empty()) {
        TG_ASSIGN(const auto tenant, find_tenant(tx, request->tenant()));
        row.tenant = tenant.id;
        row.tenant_name = tenant.name;
      }
      TG_TRY(check_delegation(caller.shape(), {row.role, row.tenant.has_value()}, row.tenant == caller.tenant));
      insert_admin_key(tx, row, as_view(mac));
      v1::CreateAdminKeyResponse out;
      *out.mutable_key() = to_message(row);
      out.set_secret(text);
      return out;
    };
    return context_.pool.run_blocking(c.deadline(), attributed(c, work));
  };
  return host_.serve(call, response, std::move(handler));
}

AdminService::Reactor* AdminService::ListAdminKeys(Call* call, const v1::ListAdminKeysRequest* request,
                                                   v1::ListAdminKeysResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::ListAdminKeysResponse> {
    TG_ASSIGN(const auto page, read_page(request->page()));
    TG_ASSIGN(const auto tenant, tenant_filter(tx, request->tenant()));
    v1::ListAdminKeysResponse out;
    add_all(list_admin_keys(tx, tenant, page), out.mutable_keys());
    return out;
  });
}

AdminService::Reactor* AdminService::RevokeAdminKey(Call* call, const v1::RevokeAdminKeyRequest* request,
                                                    v1::AdminKey* response) {
  const Wall now = context_.clock.wall();
  auto handler = [this, request, now](const AdminCall& c) -> Result<v1::AdminKey> {
    const AdminCaller& caller = c.caller();
    auto work = [&](pqxx::work& tx) -> Result<v1::AdminKey> {
      TG_ASSIGN(const auto key, find_admin_key(tx, request->key_id()));
      TG_TRY(check_delegation(caller.shape(), {key.role, key.tenant.has_value()}, key.tenant == caller.tenant));
      return to_message(revoke_admin_key(tx, key.id, now));
    };
    return context_.pool.run_blocking(c.deadline(), attributed(c, work));
  };
  return host_.serve(call, response, std::move(handler));
}

AdminService::Reactor* AdminService::ListWallets(Call* call, const v1::ListWalletsRequest* request,
                                                 v1::ListWalletsResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::ListWalletsResponse> {
    TG_ASSIGN(const auto page, read_page(request->page()));
    TG_ASSIGN(const auto tenant, tenant_filter(tx, request->tenant()));
    v1::ListWalletsResponse out;
    add_all(list_wallets(tx, tenant, page), out.mutable_wallets());
    return out;
  });
}

AdminService::Reactor* AdminService::TopUp(Call* call, const v1::TopUpRequest* request, v1::Wallet* response) {
  billing::TopUp wanted;
  wanted.tx_id = context_.ids.next();
  const Uuid fresh_id = context_.ids.next();
  const Wall now = context_.clock.wall();
  auto work = [wanted, fresh_id, now, request](pqxx::work& tx) mutable -> Result<v1::Wallet> {
    if (!request->wallet_id().empty()) {
      TG_ASSIGN(wanted.wallet, WalletId::parse(request->wallet_id()));
    } else {
      TG_ASSIGN(const auto tenant, find_tenant(tx, request->tenant()));
      wanted.wallet = tenant.wallet;
    }
    TG_ASSIGN(wanted.amount, read_amount(request->amount(), "amount"));
    wanted.top_up_id = fresh_id;
    if (!request->top_up_id().empty()) {
      TG_ASSIGN(wanted.top_up_id, Uuid::parse(request->top_up_id()));
    }
    wanted.note = request->note();
    TG_TRY(check_note(wanted.note));
    TG_ASSIGN(const auto wallet, top_up(tx, wanted, now));
    return to_message(wallet);
  };
  return host_.serve(call, response, [this, work](const AdminCall& c) -> Result<v1::Wallet> {
    auto wallet = context_.pool.run_blocking(c.deadline(), attributed(c, work));
    if (wallet) {
      context_.metrics.top_ups.add();
      context_.log.info("topped_up", {kv("wallet", wallet->wallet_id()), kv("balance", wallet->balance())});
    }
    return wallet;
  });
}

AdminService::Reactor* AdminService::LoadPrices(Call* call, const v1::LoadPricesRequest* request,
                                                v1::LoadPricesResponse* response) {
  return host_.serve(call, response, [this, request](const AdminCall& c) -> Result<v1::LoadPricesResponse> {
    TG_ASSIGN(const auto file, price::parse_price_file(request->file_json()));
    const Wall now = context_.clock.wall();
    auto job = [&](pqxx::work& tx) { return publish_prices(tx, file, now, context_.price_lead); };
    TG_ASSIGN(const auto plan, context_.pool.run_blocking(c.deadline(), attributed(c, job)));
    context_.log.info("prices_published", {kv("added", plan.add.size()), kv("ended", plan.ends.size()),
                                           kv("unchanged", plan.unchanged)});
    v1::LoadPricesResponse out;
    out.set_versions_added(static_cast<std::int32_t>(plan.add.size()));
    out.set_versions_unchanged(plan.unchanged);
    out.set_calendars_added(static_cast<std::int32_t>(plan.calendars.size()));
    out.set_versions_ended(static_cast<std::int32_t>(plan.ends.size()));
    out.set_modifiers_added(static_cast<std::int32_t>(plan.add_modifiers.size()));
    out.set_modifiers_ended(static_cast<std::int32_t>(plan.modifier_ends.size()));
    return out;
  });
}

AdminService::Reactor* AdminService::ListPrices(Call* call, const v1::ListPricesRequest* request,
                                                v1::ListPricesResponse* response) {
  const Wall now = context_.clock.wall();
  return serve(call, response, [request, now](pqxx::work& tx) -> Result<v1::ListPricesResponse> {
    tx.exec0("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY");
    TG_ASSIGN(const auto published, load_prices(tx));
    v1::ListPricesResponse out;
    for (const auto& version : published.book.versions()) {
      const bool is_past = version.effective_to && *version.effective_to <= now;
      if (is_past && !request->include_past()) continue;
      if (!request->model().empty() && version.model != request->model()) continue;
      *out.add_prices() = to_message(version);
    }
    for (const auto& modifier : published.book.modifiers()) {
      if (modifier.effective_to && *modifier.effective_to <= now && !request->include_past()) continue;
      *out.add_modifiers() = to_message(modifier);
    }
    for (const auto& calendar : published.book.calendars()) *out.add_calendars() = to_message(calendar);
    return out;
  });
}

AdminService::Reactor* AdminService::ListUsage(Call* call, const v1::ListUsageRequest* request,
                                               v1::ListUsageResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::ListUsageResponse> {
    TG_ASSIGN(const auto page, read_page(request->page()));
    UsageFilter filter;
    TG_ASSIGN(filter.tenant, tenant_filter(tx, request->tenant()));
    if (!request->request_id().empty()) {
      TG_ASSIGN(filter.request, Uuid::parse(request->request_id()));
    }
    filter.from = instant(request->from_us());
    filter.to = instant(request->to_us());
    v1::ListUsageResponse out;
    add_all(list_usage(tx, filter, page), out.mutable_rows());
    return out;
  });
}

AdminService::Reactor* AdminService::SumUsage(Call* call, const v1::SumUsageRequest* request, v1::SumUsageResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::SumUsageResponse> {
    UsageFilter filter;
    TG_ASSIGN(filter.tenant, tenant_filter(tx, request->tenant()));
    filter.from = instant(request->from_us());
    filter.to = instant(request->to_us());
    v1::SumUsageResponse out;
    add_all(sum_usage(tx, filter), out.mutable_sums());
    return out;
  });
}

AdminService::Reactor* AdminService::ListLedger(Call* call, const v1::ListLedgerRequest* request,
                                                v1::ListLedgerResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::ListLedgerResponse> {
    TG_ASSIGN(const auto page, read_page(request->page()));
    TG_ASSIGN(const auto tenant, tenant_filter(tx, request->tenant()));
    v1::ListLedgerResponse out;
    add_all(list_ledger(tx, tenant, page), out.mutable_transactions());
    return out;
  });
}

AdminService::Reactor* AdminService::Reconcile(Call* call, const v1::ReconcileRequest*, v1::ReconcileResponse* response) {
  return host_.serve(call, response, [this](const AdminCall& c) -> Result<v1::ReconcileResponse> {
    auto job = [](pqxx::work& tx) -> Result<ReconcileReport> { return reconcile(tx); };
    TG_ASSIGN(const auto report, context_.pool.run_blocking(c.deadline(), job));
    context_.metrics.reconcile_runs.add();
    context_.metrics.reconcile_differences.set(static_cast<double>(report.differences));  // metric
    if (report.differences != 0) context_.log.error("reconcile_differences", {kv("differences", report.differences)});
    return to_message(report);
  });
}

}  // namespace tidegate::billing
