#include "billing/core/cap_rules.h"

#include <fmt/format.h>

#include "base/core/encoding.h"

namespace tidegate::billing {

namespace {

std::unexpected<Error> bad_cap(std::string message, std::string field) {
  return fail(Code::kInvalidArgument, "bad_cap", std::move(message), std::move(field));
}

}  // namespace

std::string_view cap_scope_name(CapScope scope) {
  switch (scope) {
    case CapScope::kTenant:
      return "tenant";
    case CapScope::kProject:
      return "project";
    case CapScope::kKey:
      return "key";
    case CapScope::kUser:
      return "user";
  }
  return "";
}

std::string_view cap_period_name(CapPeriod period) {
  switch (period) {
    case CapPeriod::kTotal:
      return "total";
    case CapPeriod::kMonthly:
      return "monthly";
    case CapPeriod::kDaily:
      return "daily";
  }
  return "";
}

std::optional<CapScope> parse_cap_scope(std::string_view name) {
  for (const auto scope : {CapScope::kTenant, CapScope::kProject, CapScope::kKey, CapScope::kUser}) {
    if (cap_scope_name(scope) == name) return scope;
  }
  return std::nullopt;
}

std::optional<CapPeriod> parse_cap_period(std::string_view name) {
  for (const auto period : {CapPeriod::kTotal, CapPeriod::kMonthly, CapPeriod::kDaily}) {
    if (cap_period_name(period) == name) return period;
  }
  return std::nullopt;
}

Result<CapScope> scope_of(const CapSubjectText& subject) {
  const int named = (subject.project.empty() ? 0 : 1) + (subject.key.empty() ? 0 : 1) +
                    (subject.user.empty() ? 0 : 1) + (subject.is_every_user ? 1 : 0);
  if (named > 1)
    return bad_cap("a cap is for one of project, key, user or every_user: set one cap for each", "project");
  if (!subject.project.empty()) return CapScope::kProject;
  if (!subject.key.empty()) return CapScope::kKey;
  if (subject.user.size() > kEndUserBytesMax || !is_valid_utf8(subject.user)) {
    return bad_cap(fmt::format("user must be UTF-8 of at most {} bytes", kEndUserBytesMax), "user");
  }
  return subject.user.empty() && !subject.is_every_user ? CapScope::kTenant : CapScope::kUser;
}

Result<CapPeriod> read_cap_period(std::string_view text) {
  if (text.empty()) return CapPeriod::kMonthly;
  if (const auto period = parse_cap_period(text)) return *period;
  return bad_cap(fmt::format("\"{}\" is no period: use monthly, daily or total", text), "period");
}

Status check_cap_amount(Money amount) {
  if (!amount.is_negative()) return {};
  return fail(Code::kInvalidArgument, "bad_amount", "a cap is zero or more; zero lets nothing through",
              "amount");
}

}  // namespace tidegate::billing
