#include "scheduler/core/autoscale_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

namespace tidegate::scheduler {

namespace {

constexpr std::array<std::string_view, 7> kDays = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

Status check_policy_range(std::int64_t value, std::int64_t least, std::int64_t most, std::string_view name) {
  if (value >= least && value <= most) return {};
  const std::string field = fmt::format("autoscale.{}", name);
  return fail(Code::kInvalidArgument, "out_of_range",
              fmt::format("{} must be {} to {}, not {}", field, least, most, value), field);
}

std::unexpected<Error> bad_window(std::string_view text) {
  return fail(
      Code::kInvalidArgument, "bad_window",
      fmt::format("'{}' is not a window such as 'mon-fri 08:30-20:00 min=6'; days are mon to sun, times 00:00 to 24:00",
                  text),
      "autoscale.windows");
}

/// Cuts up to `separator` from the front of `text`; all of it when there is none.
std::string_view cut(std::string_view& text, char separator) {
  const auto at = text.find(separator);
  const std::string_view head = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
  return head;
}

std::optional<std::int32_t> number(std::string_view text) {
  std::int32_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || code != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::optional<std::int32_t> minute_of(std::string_view text) {
  const auto hour = number(cut(text, ':'));
  const auto minute = number(text);
  if (text.size() != 2 || !hour || !minute || *minute > 59 || *hour * 60 + *minute > kMinutesPerDay)
    return std::nullopt;
  return *hour * 60 + *minute;
}

std::optional<std::size_t> day_of(std::string_view text) {
  const auto found = std::find(kDays.begin(), kDays.end(), text);
  if (found == kDays.end()) return std::nullopt;
  return static_cast<std::size_t>(found - kDays.begin());
}

std::optional<std::uint8_t> weekdays_of(std::string_view text) {
  unsigned days = 0;
  while (!text.empty()) {
    std::string_view span = cut(text, ',');
    const auto first = day_of(cut(span, '-'));
    const auto last = span.empty() ? first : day_of(span);
    if (!first || !last) return std::nullopt;
    for (std::size_t day = *first;; day = (day + 1) % kDays.size()) {
      days |= 1U << day;
      if (day == *last) break;
    }
  }
  return static_cast<std::uint8_t>(days);
}

bool is_open(const AutoscaleWindow& window, std::int32_t week_minute) {
  const std::int32_t day = week_minute / kMinutesPerDay;
  const std::int32_t minute = week_minute % kMinutesPerDay;
  const auto starts_on = [&](std::int32_t weekday) { return ((window.weekdays >> weekday) & 1) != 0; };
  if (window.start_minute < window.end_minute) {
    return starts_on(day) && minute >= window.start_minute && minute < window.end_minute;
  }
  return (starts_on(day) && minute >= window.start_minute) || (starts_on((day + 6) % 7) && minute < window.end_minute);
}

}  // namespace

Status check_autoscale(const AutoscalePolicy& policy, std::int32_t replicas_limit) {
  if (!policy.is_on) return {};
  TG_TRY(check_policy_range(policy.replicas_max, 1, replicas_limit, "replicas_max"));
  TG_TRY(check_policy_range(policy.replicas_min, 0, policy.replicas_max, "replicas_min"));
  TG_TRY(check_policy_range(policy.target_utilisation_percent, 10, 95, "target_utilisation_percent"));
  TG_TRY(check_policy_range(policy.queue_wait_ms, 10, 600'000, "queue_wait_ms"));
  TG_TRY(check_policy_range(policy.down_after_s, 60, 86'400, "down_after_s"));
  TG_TRY(check_policy_range(policy.idle_s, 60, 604'800, "idle_s"));
  TG_TRY(check_policy_range(policy.time_to_ready_s, 1, 3'600, "time_to_ready_s"));
  TG_TRY(check_policy_range(policy.prompt_tokens_per_s, 0, 1'000'000'000, "prompt_tokens_per_s"));
  TG_TRY(check_policy_range(policy.price_micros_per_hour, 0, 1'000'000'000'000, "price_micros_per_hour"));
  TG_TRY(check_policy_range(policy.budget_micros_per_hour, 0, 1'000'000'000'000'000, "budget_micros_per_hour"));
  if (policy.budget_micros_per_hour > 0) {
    if (policy.price_micros_per_hour == 0) {
      return fail(Code::kInvalidArgument, "budget_without_price",
                  "autoscale.budget_micros_per_hour needs autoscale.price_micros_per_hour, the price of one replica",
                  "autoscale.price_micros_per_hour");
    }
    if (replicas_ceiling(policy) < std::max(policy.replicas_min, 1)) {
      return fail(Code::kInvalidArgument, "budget_too_small",
                  fmt::format("autoscale.budget_micros_per_hour pays for {} replicas; it must pay for {}",
                              replicas_ceiling(policy), std::max(policy.replicas_min, 1)),
                  "autoscale.budget_micros_per_hour");
    }
  }
  TG_TRY(check_policy_range(static_cast<std::int64_t>(policy.windows.size()), 0, kAutoscaleWindowsMax, "windows"));
  for (std::size_t i = 0; i < policy.windows.size(); ++i) {
    const AutoscaleWindow& window = policy.windows[i];
    const std::string at = fmt::format("windows[{}].", i);
    TG_TRY(check_policy_range(window.weekdays, 1, 0x7f, at + "weekdays"));
    TG_TRY(check_policy_range(window.start_minute, 0, kMinutesPerDay - 1, at + "start_minute"));
    TG_TRY(check_policy_range(window.end_minute, 1, kMinutesPerDay, at + "end_minute"));
    TG_TRY(check_policy_range(window.replicas_min, 0, policy.replicas_max, at + "replicas_min"));
  }
  return {};
}

std::int32_t replicas_floor(const AutoscalePolicy& policy, std::int32_t week_minute) {
  std::int32_t floor = policy.replicas_min;
  for (const AutoscaleWindow& window : policy.windows) {
    if (is_open(window, week_minute)) floor = std::max(floor, window.replicas_min);
  }
  return floor;
}

std::int32_t replicas_floor_until(const AutoscalePolicy& policy, std::int32_t week_minute, std::int32_t minutes) {
  std::int32_t floor = 0;
  for (std::int32_t ahead = 0; ahead <= minutes; ++ahead) {
    floor = std::max(floor, replicas_floor(policy, (week_minute + ahead) % kMinutesPerWeek));
  }
  return floor;
}

std::int32_t replicas_ceiling(const AutoscalePolicy& policy) {
  if (policy.budget_micros_per_hour <= 0 || policy.price_micros_per_hour <= 0) return policy.replicas_max;
  const std::int64_t paid = policy.budget_micros_per_hour / policy.price_micros_per_hour;
  return static_cast<std::int32_t>(std::min<std::int64_t>(paid, policy.replicas_max));
}

Result<AutoscaleWindow> parse_autoscale_window(std::string_view text) {
  std::string_view rest = text;
  std::string_view first = cut(rest, ' ');
  AutoscaleWindow window;
  if (first.find(':') == std::string_view::npos) {
    const auto days = weekdays_of(first);
    if (!days || *days == 0) return bad_window(text);
    window.weekdays = *days;
    first = cut(rest, ' ');
  }
  const auto start = minute_of(cut(first, '-'));
  const auto end = minute_of(first);
  if (!start || !end || *start == kMinutesPerDay || *end == 0 || !rest.starts_with("min=")) return bad_window(text);
  const auto least = number(rest.substr(4));
  if (!least) return bad_window(text);
  window.start_minute = *start;
  window.end_minute = *end;
  window.replicas_min = *least;
  return window;
}

}  // namespace tidegate::scheduler
