#include <fmt/format.h>

#include "base/core/clock.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_table.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

using Billing = v1::BillingAdmin::Stub;

struct RoleName {
  v1::AdminRole role;
  const char* name;
};
constexpr RoleName kAdminRoles[] = {{v1::ADMIN_ROLE_OPERATOR, "operator"},
                               {v1::ADMIN_ROLE_OWNER, "owner"},
                               {v1::ADMIN_ROLE_BILLING, "billing"},
                               {v1::ADMIN_ROLE_DEVELOPER, "developer"},
                               {v1::ADMIN_ROLE_VIEWER, "viewer"}};

Result<v1::AdminRole> parse_role(const std::string& text) {
  for (const RoleName& one : kAdminRoles) {
    if (text == one.name) return one.role;
  }
  return fail(Code::kInvalidArgument, "bad_usage",
              fmt::format("--role is operator, owner, billing, developer or viewer, not '{}'", text), "role");
}

std::string role_text(v1::AdminRole role) {
  for (const RoleName& one : kAdminRoles) {
    if (role == one.role) return one.name;
  }
  return "-";
}

Status create(const Arguments& arguments) {
  TG_ASSIGN(const std::string role, arguments.required_option("role"));
  v1::CreateAdminKeyRequest request;
  TG_ASSIGN(const v1::AdminRole parsed, parse_role(role));
  request.set_role(parsed);
  request.set_tenant(arguments.option("tenant"));
  request.set_name(arguments.option("name"));
  if (arguments.has("expires")) {
    TG_ASSIGN(const Wall expires, parse_rfc3339(arguments.option("expires")));
    request.set_expires_us(unix_micros(expires));
  }
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const auto made, connection.call(&Billing::CreateAdminKey, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(made));
  } else {
    fmt::print("{}\n", made.secret());
    fmt::print(stderr, "key {} of {} {}; the secret above is shown this once\n", made.key().public_id(),
               role_text(made.key().role()),
               made.key().tenant_name().empty() ? "for every tenant" : "for " + made.key().tenant_name());
  }
  return {};
}

Status list_admin_keys(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListAdminKeysRequest request;
  request.set_tenant(arguments.option("tenant"));
  request.mutable_page()->set_limit(1000);
  TG_ASSIGN(const auto keys, connection.call(&Billing::ListAdminKeys, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(keys));
    return {};
  }
  TextTable table({"PUBLIC", "NAME", "ROLE", "TENANT", "KEY", "CREATED", "EXPIRES", "REVOKED"});
  for (const auto& key : keys.keys()) {
    table.add({"tga_" + key.public_id(), key.name(), role_text(key.role()),
               key.tenant_name().empty() ? "all" : key.tenant_name(), key.key_id(), time_text(key.created_us()),
               time_text(key.expires_us()), time_text(key.revoked_us())});
  }
  fmt::print("{}", table.render());
  return {};
}

Status revoke(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::RevokeAdminKeyRequest request;
  TG_ASSIGN(*request.mutable_key_id(), arguments.word(0, "KEY"));
  TG_ASSIGN(const v1::AdminKey key, connection.call(&Billing::RevokeAdminKey, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(key));
  } else {
    fmt::print("administrator key {} revoked at {}; the next call with it is refused\n", key.public_id(),
               time_text(key.revoked_us()));
  }
  return {};
}

}  // namespace

std::vector<Command> admin_key_commands() {
  return {
      {"admin-key create",
       "Make a key for a person, with a role; its secret is printed once.",
       "--role operator|owner|billing|developer|viewer [--tenant TENANT] [--name NAME] [--expires INSTANT]",
       "  tidegate admin-key create --role viewer --tenant acme --name dashboards\n"
       "  tidegate admin-key create --role billing --name 'accounting' --expires 2027-01-01T00:00:00Z\n"
       "  tidegate admin-key create --role owner --tenant acme   # what acme's own people may do; see "
       "docs/api/admin_keys.md\n",
       {"role", "tenant", "name", "expires"},
       {},
       create},
      {"admin-key list",
       "List the keys of people.",
       "[--tenant TENANT]",
       "  tidegate admin-key list\n",
       {"tenant"},
       {},
       list_admin_keys},
      {"admin-key revoke",
       "Revoke a person's key for good.",
       "KEY_OR_PUBLIC_ID",
       "  tidegate admin-key revoke 7aB20cZx\n",
       {},
       {},
       revoke},
  };
}

}  // namespace tidegate::cli
