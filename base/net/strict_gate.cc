#include "base/net/strict_gate.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>

namespace tidegate {

namespace {

constexpr std::string_view kMethods[] = {"GET", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"};
constexpr std::size_t kContentLengthDigitsMax = 10;

std::unexpected<Error> bad(const char* reason, std::string message, std::string field = {}) {
  return fail(Code::kInvalidArgument, reason, std::move(message), std::move(field));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// host [":" port] with the characters of a name, an IPv4 address or a bracketed IPv6 address.
bool is_valid_host(std::string_view host) {
  if (host.empty()) return false;
  if (host.front() == '[') {
    const auto close = host.find(']');
    if (close == std::string_view::npos || close < 3) return false;
    for (const char c : host.substr(1, close - 1)) {
      if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F') && c != ':' && c != '.') return false;
    }
    host.remove_prefix(close + 1);
    if (host.empty()) return true;
  } else {
    const auto colon = host.find(':');
    const std::string_view name = host.substr(0, colon);
    if (name.empty()) return false;
    for (const char c : name) {
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      if (!letter && !is_digit(c) && c != '-' && c != '.' && c != '_') return false;
    }
    if (colon == std::string_view::npos) return true;
    host.remove_prefix(colon);
  }
  if (host.front() != ':' || host.size() < 2 || host.size() > 6) return false;
  return std::all_of(host.begin() + 1, host.end(), is_digit);
}

Status check_target(const HeaderView& head) {
  if (head.target == "*" && head.method == "OPTIONS") return {};
  if (head.target.front() != '/') return bad("bad_target", "the target must be a path that starts with '/'");
  if (head.target.find('#') != std::string_view::npos) return bad("bad_target", "a target has no fragment");
  return {};
}

Status check_length(const HeaderView& head, Framing& framing) {
  const std::size_t count = head.count("Content-Length");
  if (count == 0) return {};
  const std::string_view value = head.find("Content-Length");
  const bool digits = !value.empty() && value.size() <= kContentLengthDigitsMax &&
                      std::all_of(value.begin(), value.end(), is_digit);
  if (count > 1 || !digits) {
    return bad("bad_content_length", "exactly one Content-Length of 1 to 10 digits is allowed", "Content-Length");
  }
  std::from_chars(value.data(), value.data() + value.size(), framing.content_length);
  if (framing.content_length > 0) framing.body = Framing::Body::kSized;
  return {};
}

Status check_transfer_encoding(const HeaderView& head, Framing& framing) {
  const std::size_t count = head.count("Transfer-Encoding");
  if (count == 0) return {};
  if (head.count("Content-Length") > 0) {
    return bad("te_with_length", "Transfer-Encoding and Content-Length exclude each other", "Transfer-Encoding");
  }
  if (count > 1 || !equals_ignore_case(head.find("Transfer-Encoding"), "chunked")) {
    return bad("bad_transfer_encoding", "the only Transfer-Encoding is one 'chunked'", "Transfer-Encoding");
  }
  framing.body = Framing::Body::kChunked;
  return {};
}

Status check_media_type(const HeaderView& head, const Framing& framing) {
  const bool carries_json = head.method == "POST" || head.method == "PUT" || head.method == "PATCH";
  if (!carries_json || framing.body == Framing::Body::kNone) return {};
  const std::string_view type = head.find("Content-Type");
  std::string_view essence = type.substr(0, type.find(';'));
  while (!essence.empty() && (essence.back() == ' ' || essence.back() == '\t')) essence.remove_suffix(1);
  if (head.count("Content-Type") == 1 && equals_ignore_case(essence, "application/json")) return {};
  return bad("unsupported_media_type", "send JSON with one 'Content-Type: application/json'", "Content-Type");
}

/// Reads every Connection field: lists of tokens, of which only "close" means something here. A list that is none
/// could hide a "close" from one of two parsers.
Status check_connection(const HeaderView& head, Framing& framing) {
  framing.keep_alive = head.version_minor == 1;
  for (const HeaderField& field : head.fields()) {
    const bool is_connection = equals_ignore_case(field.name, "Connection");
    if (!is_connection && !equals_ignore_case(field.name, "Proxy-Connection")) continue;
    std::string_view list = field.value;
    while (!list.empty()) {
      const auto comma = list.find(',');
      std::string_view item = list.substr(0, comma);
      list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
      while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
      while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
      if (!item.empty() && !is_token(item)) {
        return bad("bad_connection", "Connection is a comma-separated list of names", std::string(field.name));
      }
      if (is_connection && equals_ignore_case(item, "close")) framing.keep_alive = false;
    }
  }
  return {};
}

}  // namespace

Result<Framing> check_framing(const HeaderView& head, std::uint64_t body_max, MediaTypes types) {
  Framing framing;
  TG_TRY(check_target(head));
  if (head.count("Host") != 1 || !is_valid_host(head.find("Host"))) {
    return bad("bad_host", "exactly one valid Host header is needed", "Host");
  }
  TG_TRY(check_length(head, framing));
  TG_TRY(check_transfer_encoding(head, framing));
  if (head.version_minor == 0 && (framing.body != Framing::Body::kNone || head.count("Transfer-Encoding") > 0)) {
    return bad("body_in_http10", "a request with a body needs HTTP/1.1");
  }
  TG_TRY(check_connection(head, framing));
  if (head.count("Upgrade") > 0) return bad("bad_upgrade", "no protocol upgrade is offered", "Upgrade");
  if (const std::size_t count = head.count("Expect"); count > 0) {
    if (count > 1 || head.version_minor == 0 || !equals_ignore_case(head.find("Expect"), "100-continue")) {
      return bad("bad_expect", "the only Expect is one '100-continue'", "Expect");
    }
    framing.expects_continue = framing.body != Framing::Body::kNone;
  }
  // From here on the framing is sound and only the meaning is refused.
  if (std::find(std::begin(kMethods), std::end(kMethods), head.method) == std::end(kMethods)) {
    return bad("method_not_allowed", "'" + std::string(head.method.substr(0, 32)) + "' is not a method of this API");
  }
  if (types == MediaTypes::kJson) {
    TG_TRY(check_media_type(head, framing));
  }
  if (framing.content_length > body_max) {
    return fail(Code::kOutOfRange, "body_too_large",
                "the body has " + std::to_string(framing.content_length) + " bytes; at most " +
                    std::to_string(body_max) + " are taken");
  }
  return framing;
}

Status strict_gate(const HeaderView& head) {
  auto framing = check_framing(head, std::numeric_limits<std::uint64_t>::max());
  if (!framing) return fail(std::move(framing).error());
  return {};
}

int refusal_status(const Error& error) {
  static constexpr std::pair<std::string_view, int> kStatuses[] = {
      {"method_not_allowed", 405}, {"header_timeout", 408}, {"body_timeout", 408},
      {"body_too_large", 413},     {"bad_expect", 417},     {"unsupported_media_type", 415},
      {"headers_too_large", 431},  {"http_version", 505},
  };
  for (const auto& [reason, status] : kStatuses) {
    if (error.reason == reason) return status;
  }
  return 400;
}

}  // namespace tidegate
