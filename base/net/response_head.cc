#include "base/net/response_head.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <fmt/format.h>

#include "base/core/byte_scan.h"

namespace tidegate {

namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

void append_clean(std::string& out, std::string_view value) {
  const std::size_t from = out.size();
  out += value;
  if (!any_byte(value, has_control, is_control)) return;
  std::replace_if(out.begin() + static_cast<std::ptrdiff_t>(from), out.end(), is_control, ' ');
}

void append_number(std::string& out, std::uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

}  // namespace

void append_response_head(std::string& out, int status, std::string_view content_type, const HttpHeaders& headers,
                          BodyLength length, bool close, std::string_view date_line) {
  out += "HTTP/1.1 ";
  append_number(out, static_cast<std::uint64_t>(status));
  out += ' ';
  out += status_text(status);
  out += "\r\n";
  out += date_line;
  if (!content_type.empty() && status != 204) {
    out += "Content-Type: ";
    append_clean(out, content_type);
    out += "\r\n";
  }
  for (const auto& [name, value] : headers) {
    append_clean(out, name);
    out += ": ";
    append_clean(out, value);
    out += "\r\n";
  }
  switch (length.kind) {
    case BodyLength::Kind::kSized:
      if (status == 204) break;  // RFC 9110: no length with 204
      out += "Content-Length: ";
      append_number(out, length.bytes);
      out += "\r\n";
      break;
    case BodyLength::Kind::kChunked:
      out += "Transfer-Encoding: chunked\r\n";
      break;
    case BodyLength::Kind::kUntilClose:
      break;
  }
  if (close) out += "Connection: close\r\n";
  out += "\r\n";
}

std::string make_date_line(Wall now) {
  static constexpr std::string_view kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(now - day));
  return fmt::format("Date: {}, {:02} {} {:04} {:02}:{:02}:{:02} GMT\r\n",
                     kDays[std::chrono::weekday(day).c_encoding()], static_cast<unsigned>(date.day()),
                     kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                     time.hours().count(), time.minutes().count(), time.seconds().count());
}

}  // namespace tidegate
