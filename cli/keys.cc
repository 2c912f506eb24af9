#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/core/clock.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/duration_text.h"
#include "cli/message_json.h"
#include "cli/text_table.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

using Billing = v1::BillingAdmin::Stub;

std::string list_text(const google::protobuf::RepeatedPtrField<std::string>& items, const char* none) {
  return items.empty() ? none : fmt::format("{}", fmt::join(items, ","));
}

Status key_create(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::CreateKeyRequest request;
  TG_ASSIGN(*request.mutable_tenant(), arguments.required_option("tenant"));
  TG_ASSIGN(*request.mutable_project(), arguments.required_option("project"));
  request.set_name(arguments.option("name"));
  for (auto& model : split_list(arguments.option("models"))) request.add_models(std::move(model));
  for (auto& scope : split_list(arguments.option("scopes"))) request.add_scopes(std::move(scope));
  for (auto& source : split_list(arguments.option("sources"))) request.add_sources(std::move(source));
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
  TextTable table({"PUBLIC", "NAME", "KEY", "PROJECT", "MODELS", "SCOPES", "SOURCES", "CREATED", "EXPIRES", "REVOKED",
                   "SUCCESSOR"});
  for (const auto& key : list.keys()) {
    table.add({"tgk_" + key.public_id(), key.name(), key.key_id(), key.project_id(), list_text(key.models(), "all"),
               list_text(key.scopes(), "inference"), list_text(key.sources(), "any"), time_text(key.created_us()),
               time_text(key.expires_us()), time_text(key.revoked_us()),
               key.replaced_by().empty() ? "-" : key.replaced_by()});
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

Status key_rotate(const Arguments& arguments) {
  v1::RotateKeyRequest request;
  TG_ASSIGN(*request.mutable_key_id(), arguments.word(0, "KEY"));
  TG_ASSIGN(const std::string text, arguments.required_option("overlap"));
  TG_ASSIGN(const auto overlap, parse_span(text, "overlap"));
  request.set_overlap_us(overlap.count());
  if (arguments.has("expires")) {
    TG_ASSIGN(const Wall expires, parse_rfc3339(arguments.option("expires")));
    request.set_expires_us(unix_micros(expires));
  }
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const auto rotated, connection.call(&Billing::RotateKey, connection.billing(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(rotated));
  } else {
    fmt::print("{}\n", rotated.secret());
    fmt::print(stderr, "key {} ({}) takes over; key {} goes on until {}; the secret above is shown this once\n",
               rotated.key().public_id(), rotated.key().key_id(), rotated.replaced().public_id(),
               time_text(rotated.replaced().expires_us()));
  }
  return {};
}

}  // namespace

std::vector<Command> key_commands() {
  return {
      {"key create",
       "Make an API key; its secret is printed once.",
       "--tenant TENANT --project PROJECT [--name NAME] [--models A,B] [--scopes A,B] [--sources RANGE,RANGE] "
       "[--expires INSTANT]",
       "  tidegate key create --tenant acme --project search --name ci\n"
       "  tidegate key create --tenant acme --project search --models tang-moe --expires 2027-01-01T00:00:00Z\n"
       "  tidegate key create --tenant acme --project search --scopes chat,models --sources "
       "203.0.113.0/24,2001:db8::/32\n",
       {"tenant", "project", "name", "models", "scopes", "sources", "expires"},
       {},
       key_create},
      {"key list",
       "List API keys.",
       "[--tenant TENANT]",
       "  tidegate key list --tenant acme\n",
       {"tenant"},
       {},
       key_list},
      {"key rotate",
       "Make a successor with the same rights; the old key ends after the overlap.",
       "KEY_OR_PUBLIC_ID --overlap SPAN [--expires INSTANT]",
       "  tidegate key rotate 4fQ81kLm --overlap 24h\n"
       "  tidegate key rotate 4fQ81kLm --overlap 0          # leaked: the old key ends now\n"
       "  tidegate key rotate 4fQ81kLm --overlap 7d --expires 2027-06-01T00:00:00Z\n",
       {"overlap", "expires"},
       {},
       key_rotate},
      {"key revoke",
       "Revoke a key for good.",
       "KEY_OR_PUBLIC_ID",
       "  tidegate key revoke 4fQ81kLm\n",
       {},
       {},
       key_revoke},
  };
}

}  // namespace tidegate::cli
