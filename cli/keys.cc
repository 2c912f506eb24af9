#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/core/clock.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_table.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

using Billing = v1::BillingAdmin::Stub;

Status key_create(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::CreateKeyRequest request;
  TG_ASSIGN(*request.mutable_tenant(), arguments.required_option("tenant"));
  TG_ASSIGN(*request.mutable_project(), arguments.required_option("project"));
  request.set_name(arguments.option("name"));
  std::string models = arguments.option("models");
  while (!models.empty()) {
    const auto comma = models.find(',');
    if (comma != 0) request.add_models(models.substr(0, comma));
    models = comma == std::string::npos ? "" : models.substr(comma + 1);
  }
  if (arguments.has("expires")) {
    TG_ASSIGN(const Wall expires, parse_rfc3339(arguments.option("expires")));
    request.set_expires_us(unix_micros(expires));
  }
  TG_ASSIGN(const auto made, connection.call(&Billing::CreateKey, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(made));
  } else {
    fmt::print("{}\n", made.secret());
    fmt::print(stderr, "key {} ({}); the secret above is shown this once\n", made.key().public_id(), made.key().key_id());
  }
  return {};
}

Status key_list(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListKeysRequest request;
  request.set_tenant(arguments.option("tenant"));
  request.mutable_page()->set_limit(1000);
  TG_ASSIGN(const auto list, connection.call(&Billing::ListKeys, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"PUBLIC", "NAME", "KEY", "PROJECT", "MODELS", "CREATED", "EXPIRES", "REVOKED"});
  for (const auto& key : list.keys()) {
    table.add({"tgk_" + key.public_id(), key.name(), key.key_id(), key.project_id(),
               key.models().empty() ? "all" : fmt::format("{}", fmt::join(key.models(), ",")), time_text(key.created_us()),
               time_text(key.expires_us()), time_text(key.revoked_us())});
  }
  fmt::print("{}", table.render());
  return {};
}

Status key_revoke(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::RevokeKeyRequest request;
  TG_ASSIGN(*request.mutable_key_id(), arguments.word(0, "KEY"));
  TG_ASSIGN(const v1::ApiKey key, connection.call(&Billing::RevokeKey, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(key));
  } else {
    fmt::print("key {} revoked at {}; gateways refuse it within five seconds\n", key.public_id(), time_text(key.revoked_us()));
  }
  return {};
}

}  // namespace

std::vector<Command> key_commands() {
  return {
      {"key create", "Make an API key; its secret is printed once.",
       "--tenant TENANT --project PROJECT [--name NAME] [--models A,B] [--expires INSTANT]",
       "  tidegate key create --tenant acme --project search --name ci\n"
       "  tidegate key create --tenant acme --project search --models tang-moe --expires 2027-01-01T00:00:00Z\n",
       {"tenant", "project", "name", "models", "expires"}, {}, key_create},
      {"key list", "List API keys.", "[--tenant TENANT]", "  tidegate key list --tenant acme\n", {"tenant"}, {}, key_list},
      {"key revoke", "Revoke a key for good.", "KEY_OR_PUBLIC_ID", "  tidegate key revoke 4fQ81kLm\n", {}, {}, key_revoke},
  };
}

}  // namespace tidegate::cli
