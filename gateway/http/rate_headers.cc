#include "gateway/http/rate_headers.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace tidegate::gateway {
namespace {

void append_gauge(HttpHeaders& headers, std::string_view what, const std::optional<RateGauge>& gauge) {
  if (!gauge) return;
  headers.emplace_back(fmt::format("x-ratelimit-limit-{}", what), std::to_string(gauge->limit));
  headers.emplace_back(fmt::format("x-ratelimit-remaining-{}", what), std::to_string(gauge->remaining));
  if (gauge->reset > Duration::zero()) {
    headers.emplace_back(fmt::format("x-ratelimit-reset-{}", what), rate_reset_text(gauge->reset));
  }
}

}  // namespace

void append_rate_headers(HttpHeaders& headers, const RateStatus& status) {
  append_gauge(headers, "requests", status.requests);
  append_gauge(headers, "tokens", status.tokens);
  append_gauge(headers, "tokens-day", status.daily_tokens);
  append_gauge(headers, "concurrency", status.concurrency);
}

std::string rate_reset_text(Duration span) {
  const std::int64_t ms = std::max<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(span).count(), 1);
  if (ms < 1'000) return fmt::format("{}ms", ms);
  const std::int64_t all = (ms + 999) / 1'000;
  const std::int64_t hours = all / 3'600, minutes = all / 60 % 60, seconds = all % 60;
  if (hours > 0) return fmt::format("{}h{}m{}s", hours, minutes, seconds);
  if (minutes > 0) return fmt::format("{}m{}s", minutes, seconds);
  return fmt::format("{}s", seconds);
}

}  // namespace tidegate::gateway
