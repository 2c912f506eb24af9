#include "billing/core/rate_limit_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

namespace tidegate::billing {
namespace {

std::unexpected<Error> bad_limit(std::string message, std::string_view field) {
  return fail(Code::kInvalidArgument, "bad_limit", std::move(message), std::string(field));
}

}  // namespace

Result<CapScope> rate_scope_of(std::string_view project, std::string_view key) {
  if (!project.empty() && !key.empty()) {
    return bad_limit("a limit is for one of project and key: set one limit for each", "project");
  }
  if (!project.empty()) return CapScope::kProject;
  return key.empty() ? CapScope::kTenant : CapScope::kKey;
}

Status check_rate_numbers(const RateNumbers& numbers) {
  const std::pair<std::string_view, std::int64_t> fields[] = {{"requests_per_minute", numbers.requests_per_minute},
                                                              {"tokens_per_minute", numbers.tokens_per_minute},
                                                              {"tokens_per_day", numbers.tokens_per_day},
                                                              {"concurrency", numbers.concurrency}};
  bool limits_something = false;
  for (const auto& [field, number] : fields) {
    if (number < 0 || number > kRateMax) {
      return bad_limit(fmt::format("{} must be 1 to {}, or 0 for no limit", field, kRateMax), field);
    }
    limits_something = limits_something || number > 0;
  }
  if (limits_something) return {};
  return bad_limit("say what is limited: requests or tokens per minute, tokens per day, or requests at once",
                   "requests_per_minute");
}

Status check_rate_model(std::string_view model) {
  const bool is_plain = std::ranges::all_of(model, [](char c) { return c > ' ' && c < 127; });
  if (is_plain && model.size() <= kRateModelBytesMax) return {};
  return bad_limit(fmt::format("model must be at most {} printable characters without space", kRateModelBytesMax),
                   "model");
}

}  // namespace tidegate::billing
