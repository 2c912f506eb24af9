#include "base/core/clock.h"

#include <fmt/format.h>

namespace tidegate {

Mono SystemClock::mono() const {
  return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now());
}

Wall SystemClock::wall() const {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

namespace {

/// `value` in exactly `width` digits at `to`.
void put_digits(char* to, std::size_t width, std::uint64_t value) {
  for (std::size_t i = width; i-- > 0; value /= 10) to[i] = static_cast<char>('0' + value % 10);
}

}  // namespace

std::string format_rfc3339(Wall wall) {
  const auto day = std::chrono::floor<std::chrono::days>(wall);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(wall - day);
  const int year = static_cast<int>(date.year());
  if (year < 0 || year > 9'999) {
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", year, static_cast<unsigned>(date.month()),
                       static_cast<unsigned>(date.day()), time.hours().count(), time.minutes().count(),
                       time.seconds().count(), time.subseconds().count());
  }
  std::string text = "0000-00-00T00:00:00.000000Z";  // every log line has one
  const auto put = [&](std::size_t at, std::size_t width, auto value) {
    put_digits(text.data() + at, width, static_cast<std::uint64_t>(value));
  };
  put(0, 4, year);
  put(5, 2, static_cast<unsigned>(date.month()));
  put(8, 2, static_cast<unsigned>(date.day()));
  put(11, 2, time.hours().count());
  put(14, 2, time.minutes().count());
  put(17, 2, time.seconds().count());
  put(20, 6, time.subseconds().count());
  return text;
}

namespace {

/// Reads exactly `width` decimal digits at `at`, or -1.
int digits(std::string_view text, std::size_t at, std::size_t width) {
  if (at + width > text.size()) return -1;
  int value = 0;
  for (std::size_t i = at; i < at + width; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

std::unexpected<Error> bad(std::string_view text) {
  return fail(Code::kInvalidArgument, "bad_timestamp",
              fmt::format("'{}' is not an RFC 3339 instant such as 2026-11-21T08:00:00Z", text));
}

}  // namespace

Result<Wall> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') ||
      text[13] != ':' || text[16] != ':') {
    return bad(text);
  }
  const int y = digits(text, 0, 4), mo = digits(text, 5, 2), d = digits(text, 8, 2);
  const int h = digits(text, 11, 2), mi = digits(text, 14, 2), s = digits(text, 17, 2);
  if (y < 0 || mo < 0 || d < 0 || h < 0 || mi < 0 || s < 0 || h > 23 || mi > 59 || s > 59) return bad(text);
  const year_month_day date{year(y), month(static_cast<unsigned>(mo)), day(static_cast<unsigned>(d))};
  if (!date.ok()) return bad(text);

  std::size_t at = 19;
  std::int64_t micros = 0;
  if (text[at] == '.') {
    std::int64_t scale = 100000;
    const std::size_t first = ++at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
      micros += (text[at] - '0') * scale;
      scale /= 10;
    }
    if (at == first || at - first > 9) return bad(text);
  }
  if (at >= text.size()) return bad(text);
  minutes offset{0};
  if (text[at] == 'Z' || text[at] == 'z') {
    if (at + 1 != text.size()) return bad(text);
  } else {
    if ((text[at] != '+' && text[at] != '-') || at + 6 != text.size() || text[at + 3] != ':') return bad(text);
    const int oh = digits(text, at + 1, 2), om = digits(text, at + 4, 2);
    if (oh < 0 || om < 0 || oh > 23 || om > 59) return bad(text);
    offset = hours(oh) + minutes(om);
    if (text[at] == '-') offset = -offset;
  }
  return Wall(sys_days(date) + hours(h) + minutes(mi) + seconds(s) + microseconds(micros) - offset);
}

}  // namespace tidegate
