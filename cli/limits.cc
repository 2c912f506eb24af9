#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_table.h"

namespace tidegate::cli {

namespace {

using Limits = v1::Limits::Stub;

std::string limit_subject(const v1::RateLimit& limit) {
  if (!limit.subject_name().empty()) return limit.subject_name();
  return limit.subject().empty() ? "-" : limit.subject();
}

std::string number_text(std::int64_t number) { return number == 0 ? "-" : std::to_string(number); }

Status limit_set(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::SetLimitRequest request;
  TG_ASSIGN(*request.mutable_tenant(), arguments.word(0, "TENANT"));
  request.set_project(arguments.option("project"));
  request.set_key(arguments.option("key"));
  request.set_model(arguments.option("model"));
  TG_ASSIGN(const std::int64_t rpm, arguments.integer_option("rpm", 0));
  TG_ASSIGN(const std::int64_t tpm, arguments.integer_option("tpm", 0));
  TG_ASSIGN(const std::int64_t tpd, arguments.integer_option("tpd", 0));
  TG_ASSIGN(const std::int64_t concurrency, arguments.integer_option("concurrency", 0));
  request.set_requests_per_minute(rpm);
  request.set_tokens_per_minute(tpm);
  request.set_tokens_per_day(tpd);
  request.set_concurrency(concurrency);
  TG_ASSIGN(const v1::RateLimit limit, connection.call(&Limits::SetLimit, connection.limits(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(limit));
  } else {
    fmt::print("{} {} {} of {}, {}: rpm {}, tpm {}, tpd {}, concurrency {}\n", limit.limit_id(), limit.scope(),
               limit_subject(limit), limit.tenant_name(), limit.model().empty() ? "all models" : limit.model(),
               number_text(limit.requests_per_minute()), number_text(limit.tokens_per_minute()),
               number_text(limit.tokens_per_day()), number_text(limit.concurrency()));
  }
  return {};
}

Status limit_list(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListLimitsRequest request;
  request.set_tenant(arguments.words().empty() ? "" : arguments.words()[0]);
  request.set_include_removed(arguments.has("removed"));
  request.mutable_page()->set_limit(1000);
  request.mutable_page()->set_after(arguments.option("after"));
  TG_ASSIGN(const auto list, connection.call(&Limits::ListLimits, connection.limits(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"LIMIT", "TENANT", "SCOPE", "SUBJECT", "MODEL", "RPM", "TPM", "TPD", "CONCURRENCY", "STATE"});
  for (const auto& limit : list.limits()) {
    table.add({limit.limit_id(), limit.tenant_name(), limit.scope(), limit_subject(limit),
               limit.model().empty() ? "all" : limit.model(), number_text(limit.requests_per_minute()),
               number_text(limit.tokens_per_minute()), number_text(limit.tokens_per_day()),
               number_text(limit.concurrency()), limit.removed_us() != 0 ? "removed" : "in force"});
  }
  fmt::print("{}", table.render());
  return {};
}

Status limit_remove(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::RemoveLimitRequest request;
  TG_ASSIGN(*request.mutable_limit_id(), arguments.word(0, "LIMIT"));
  TG_ASSIGN(const v1::RateLimit limit, connection.call(&Limits::RemoveLimit, connection.limits(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(limit));
  } else {
    fmt::print("{} removed\n", limit.limit_id());
  }
  return {};
}

}  // namespace

std::vector<Command> limit_commands() {
  return {
      {"limit set",
       "Limit requests and tokens a minute, tokens a day and requests at once; again replaces all four.",
       "TENANT [--project NAME | --key ID] [--model NAME] [--rpm N] [--tpm N] [--tpd N] [--concurrency N]",
       "  tidegate limit set acme --rpm 600 --tpm 200000\n"
       "  tidegate limit set acme --project demo --model deepseek-v3 --tpd 5000000\n"
       "  tidegate limit set acme --key 4fQ81kLm --concurrency 8\n",
       {"project", "key", "model", "rpm", "tpm", "tpd", "concurrency"},
       {},
       limit_set},
      {"limit list",
       "Show limits on rates.",
       "[TENANT] [--removed] [--after LIMIT]",
       "  tidegate limit list acme\n",
       {"after"},
       {"removed"},
       limit_list},
      {"limit remove",
       "End a limit.",
       "LIMIT",
       "  tidegate limit remove 01990000-0000-7000-8000-000000000001\n",
       {},
       {},
       limit_remove},
  };
}

}  // namespace tidegate::cli
