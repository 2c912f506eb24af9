#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/duration_text.h"
#include "cli/message_json.h"
#include "cli/text_table.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

using Billing = v1::BillingAdmin::Stub;

Status show_tenant(const Arguments& arguments, const v1::Tenant& tenant) {
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(tenant));
  } else {
    fmt::print("tenant {} ({})\n  wallet {} in {}, periods in {}\n", tenant.name(), tenant.tenant_id(), tenant.wallet_id(),
               tenant.currency(), tenant.billing_tz());
    if (tenant.regions_size() > 0) fmt::print("  served in {} only\n", fmt::join(tenant.regions(), ", "));
  }
  return {};
}

Status tenant_create(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::CreateTenantRequest request;
  TG_ASSIGN(*request.mutable_name(), arguments.word(0, "NAME"));
  request.set_billing_tz(arguments.option("tz"));
  request.set_currency(arguments.option("currency"));
  request.set_credit_limit(arguments.option("credit-limit"));
  TG_ASSIGN(const v1::Tenant tenant, connection.call(&Billing::CreateTenant, connection.billing(), request));
  return show_tenant(arguments, tenant);
}

Status tenant_list(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListTenantsRequest request;
  request.mutable_page()->set_limit(1000);
  request.mutable_page()->set_after(arguments.option("after"));
  TG_ASSIGN(const auto list, connection.call(&Billing::ListTenants, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"NAME", "TENANT", "WALLET", "CURRENCY", "ZONE", "STATE", "CREATED"});
  for (const auto& tenant : list.tenants()) {
    table.add({tenant.name(), tenant.tenant_id(), tenant.wallet_id(), tenant.currency(), tenant.billing_tz(),
               tenant.is_suspended() ? "suspended" : "active", time_text(tenant.created_us())});
  }
  fmt::print("{}", table.render());
  return {};
}

Status set_suspended(const Arguments& arguments, bool is_suspended) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::SuspendTenantRequest request;
  TG_ASSIGN(*request.mutable_tenant_id(), arguments.word(0, "TENANT"));
  request.set_is_suspended(is_suspended);
  TG_ASSIGN(const v1::Tenant tenant, connection.call(&Billing::SuspendTenant, connection.billing(), request));
  return show_tenant(arguments, tenant);
}
Status tenant_suspend(const Arguments& arguments) { return set_suspended(arguments, true); }
Status tenant_resume(const Arguments& arguments) { return set_suspended(arguments, false); }

Status tenant_regions(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::SetTenantRegionsRequest request;
  TG_ASSIGN(*request.mutable_tenant(), arguments.word(0, "TENANT"));
  TG_ASSIGN(const std::string allowed, arguments.required_option("allow"));
  if (allowed != "any") {
    for (auto& region : split_list(allowed)) request.add_regions(std::move(region));
  }
  TG_ASSIGN(const v1::Tenant tenant, connection.call(&Billing::SetTenantRegions, connection.billing(), request));
  return show_tenant(arguments, tenant);
}

Status tenant_share(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::SetTenantShareRequest request;
  TG_ASSIGN(*request.mutable_tenant_id(), arguments.word(0, "TENANT"));
  TG_ASSIGN(const std::int64_t weight, arguments.integer_option("weight", 1));
  request.set_queue_weight(weight);
  request.set_tier_max(arguments.option("tier", "default"));
  TG_ASSIGN(const v1::Tenant tenant, connection.call(&Billing::SetTenantShare, connection.billing(), request));
  if (!arguments.wants_json()) {
    fmt::print("tenant {}: weight {}, up to tier {}\n", tenant.name(), tenant.queue_weight(), tenant.tier_max());
    return {};
  }
  return show_tenant(arguments, tenant);
}

Status project_create(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::CreateProjectRequest request;
  TG_ASSIGN(*request.mutable_name(), arguments.word(0, "NAME"));
  TG_ASSIGN(*request.mutable_tenant(), arguments.required_option("tenant"));
  TG_ASSIGN(const v1::Project project, connection.call(&Billing::CreateProject, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(project));
  } else {
    fmt::print("project {} ({})\n", project.name(), project.project_id());
  }
  return {};
}

Status project_list(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListProjectsRequest request;
  request.set_tenant(arguments.option("tenant"));
  request.mutable_page()->set_limit(1000);
  TG_ASSIGN(const auto list, connection.call(&Billing::ListProjects, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"NAME", "PROJECT", "TENANT", "CREATED"});
  for (const auto& project : list.projects()) {
    table.add({project.name(), project.project_id(), project.tenant_id(), time_text(project.created_us())});
  }
  fmt::print("{}", table.render());
  return {};
}

}  // namespace

std::vector<Command> tenant_commands() {
  return {
      {"tenant create", "Make a tenant with an empty wallet.", "NAME [--tz ZONE] [--currency CODE] [--credit-limit AMOUNT]",
       "  tidegate tenant create acme --tz Asia/Shanghai --currency USD\n"
       "  tidegate tenant create postpaid-co --credit-limit 500\n",
       {"tz", "currency", "credit-limit"}, {}, tenant_create},
      {"tenant list", "List tenants.", "[--after TENANT]", "  tidegate tenant list --json\n", {"after"}, {}, tenant_list},
      {"tenant suspend", "Make every key of a tenant answer 403 within five seconds.", "TENANT",
       "  tidegate tenant suspend acme\n", {}, {}, tenant_suspend},
      {"tenant resume", "Undo a suspension.", "TENANT", "  tidegate tenant resume acme\n", {}, {}, tenant_resume},
      {"tenant regions", "Say where a tenant's requests may be served; models that no such region serves answer 403.",
       "TENANT --allow REGION,REGION|any",
       "  tidegate tenant regions acme --allow eu-1,eu-2\n  tidegate tenant regions acme --allow any\n", {"allow"}, {},
       tenant_regions},
      {"tenant share", "Set what a tenant is worth in the queues; what is left out becomes the default.",
       "TENANT [--weight 1..1000] [--tier flex|default|priority]",
       "  tidegate tenant share acme --weight 4 --tier priority\n", {"weight", "tier"}, {}, tenant_share},
      {"project create", "Make a project of a tenant.", "NAME --tenant TENANT",
       "  tidegate project create search --tenant acme\n", {"tenant"}, {}, project_create},
      {"project list", "List projects.", "[--tenant TENANT]", "  tidegate project list --tenant acme\n", {"tenant"}, {},
       project_list},
  };
}

}  // namespace tidegate::cli
