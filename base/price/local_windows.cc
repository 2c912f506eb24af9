#include "base/price/local_windows.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidegate::price {

namespace {

constexpr std::int64_t kLocalDaySeconds = 86400;

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

absl::Time to_absl(Wall instant) { return absl::FromUnixMicros(unix_micros(instant)); }
Wall from_absl(absl::Time time) { return wall_from_unix_micros(absl::ToUnixMicros(time)); }

absl::CivilSecond civil(std::int64_t day, std::int32_t second) {
  return absl::CivilSecond(absl::CivilDay(1970, 1, 1) + day) + second;
}

}  // namespace

Result<absl::TimeZone> load_zone(std::string_view name) {
  const bool is_plain = !name.empty() && name.front() != '/' && name.find("..") == name.npos &&
                        name.find(':') == name.npos && name != "localtime" && !name.starts_with("Fixed/");
  absl::TimeZone zone;
  if (!is_plain || !absl::LoadTimeZone(std::string(name), &zone)) {
    return fail(Code::kInvalidArgument, "bad_price",
                fmt::format("time zone \"{}\" is unknown; use an IANA name such as Asia/Shanghai or UTC", name), "tz");
  }
  return zone;
}

LocalMoment local_moment(const absl::TimeZone& zone, Wall instant) {
  const std::int64_t utc_s = floor_div(unix_micros(instant), 1'000'000);
  const std::int64_t local_s = utc_s + zone.At(absl::FromUnixSeconds(utc_s)).offset;
  const std::int64_t day = floor_div(local_s, kLocalDaySeconds);
  return {day, static_cast<std::int32_t>(local_s - day * kLocalDaySeconds)};
}

LocalWindows::LocalWindows(const Schedule& schedule, absl::TimeZone zone, const Calendar* calendar)
    : zone_(zone), windows_(schedule.windows) {
  for (const int day : schedule.days) weekdays_ = static_cast<std::uint8_t>(weekdays_ | 1U << (day - 1));
  if (calendar == nullptr) return;
  auto numbers = [](const std::vector<std::chrono::local_days>& days) {
    std::vector<std::int64_t> out;
    for (const auto day : days) out.push_back(day.time_since_epoch().count());
    std::sort(out.begin(), out.end());
    return out;
  };
  holidays_ = numbers(calendar->days);
  workdays_ = numbers(calendar->workdays);
}

bool LocalWindows::opens_on(std::int64_t day) const {
  // 1970-01-01 was a Thursday: bit 3.
  std::int64_t weekday = ((day + 3) % 7 + 7) % 7;
  if (std::binary_search(workdays_.begin(), workdays_.end(), day)) weekday = 0;
  if ((weekdays_ >> weekday & 1U) == 0) return false;
  return !std::binary_search(holidays_.begin(), holidays_.end(), day);
}

bool LocalWindows::contains(LocalMoment moment) const {
  for (const auto& window : windows_) {
    const bool is_after_start = moment.second >= window.start_s;
    const bool is_before_end = moment.second < window.end_s;
    if (window.start_s == window.end_s) {
      if (opens_on(moment.day)) return true;
    } else if (window.start_s < window.end_s) {
      if (is_after_start && is_before_end && opens_on(moment.day)) return true;
    } else {
      if (is_after_start && opens_on(moment.day)) return true;
      if (is_before_end && opens_on(moment.day - 1)) return true;
    }
  }
  return false;
}

void LocalWindows::append_boundaries(Wall from, Wall until, std::vector<Wall>& out) const {
  auto keep = [&](absl::Time time) {
    const Wall instant = from_absl(time);
    if (instant > from && instant <= until) out.push_back(instant);
  };
  const std::int64_t first = local_moment(zone_, from).day - 1;
  const std::int64_t last = local_moment(zone_, until).day + 1;
  for (std::int64_t day = first; day <= last; ++day) {
    auto keep_local = [&](std::int32_t second) {
      const auto info = zone_.At(civil(day, second));
      keep(info.pre);
      if (info.kind == absl::TimeZone::TimeInfo::UNIQUE) return;
      keep(info.trans);
      keep(info.post);
    };
    for (const auto& window : windows_) {
      const bool is_whole_day = window.start_s == window.end_s;
      keep_local(is_whole_day ? 0 : window.start_s);
      keep_local(is_whole_day ? static_cast<std::int32_t>(kLocalDaySeconds) : window.end_s);
    }
  }
  absl::TimeZone::CivilTransition transition;
  for (absl::Time t = to_absl(from); zone_.NextTransition(t, &transition);) {
    t = zone_.At(transition.to).trans;
    if (t > to_absl(until)) break;
    keep(t);
  }
}

}  // namespace tidegate::price
