#include "base/crypto/jwt.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/core/encoding.h"

namespace tidegate {
namespace {

constexpr std::size_t kSubjectBytesMax = 255;    // OpenID Connect Core, section 2
constexpr std::size_t kShownBytesMax = 128;      // of a token's own words in our log
constexpr double kInstantMost = 253'402'300'799;  // the last second of the year 9999

std::unexpected<Error> refuse(const char* reason, std::string why) {
  return fail(Code::kUnauthenticated, reason, std::move(why));
}
std::unexpected<Error> malformed(std::string why) { return refuse("jwt_malformed", std::move(why)); }

/// Words of somebody we do not know yet, short enough for a line of the log.
std::string shown(std::string_view text) { return std::string(text.substr(0, kShownBytesMax)); }

struct Parts {
  std::string_view header, claims, signature;  // encoded
  std::string_view signed_text;                // header.claims
};

Result<Parts> split(std::string_view text) {
  if (text.size() > kJwtBytesMax) {
    return refuse("jwt_too_large", fmt::format("a token has at most {} bytes, not {}", kJwtBytesMax, text.size()));
  }
  const std::size_t first = text.find('.');
  const std::size_t second = first == std::string_view::npos ? first : text.find('.', first + 1);
  if (second == std::string_view::npos || text.find('.', second + 1) != std::string_view::npos) {
    return malformed("a signed token has three parts");
  }
  return Parts{text.substr(0, first), text.substr(first + 1, second - first - 1), text.substr(second + 1),
               text.substr(0, second)};
}

Result<json::object> read_object(std::string_view encoded, const char* what) {
  const auto text = base64url_decode(encoded);
  if (!text) return malformed(fmt::format("its {} is not base64url without padding", what));
  if (!is_valid_utf8(*text)) return malformed(fmt::format("its {} is not UTF-8", what));
  auto parsed = json::parse(*text);
  if (!parsed || !parsed->is_object()) return malformed(fmt::format("its {} is not a JSON object", what));
  return std::move(parsed->get_object());
}

bool is_same_word(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

/// A token made for another purpose (a logout, a DPoP proof) names its type: it is none of ours.
Status check_header(const json::object& header) {
  if (header.contains("crit")) return malformed("it has extensions ('crit'), and none are known here");
  const json::value* type = header.if_contains("typ");
  if (type == nullptr) return {};
  if (!type->is_string()) return malformed("its 'typ' is not a string");
  std::string_view name = type->get_string();
  if (constexpr std::string_view kPrefix = "application/"; is_same_word(name.substr(0, kPrefix.size()), kPrefix)) {
    name.remove_prefix(kPrefix.size());
  }
  if (is_same_word(name, "JWT") || is_same_word(name, "at+jwt")) return {};
  return malformed(fmt::format("its 'typ' is {}: neither an identity token nor an access token", shown(name)));
}

Result<std::string> key_id_of(const json::object& header) {
  auto id = json::find_string(header, "kid");
  if (!id) return malformed("its 'kid' is not a string");
  return id->value_or(std::string());
}

/// Seconds since 1970, whole or not. `nullopt` when there is none.
Result<std::optional<double>> instant_of(const json::object& claims, std::string_view name) {
  const json::value* value = claims.if_contains(name);
  if (value == nullptr) return std::optional<double>();
  if (value->is_number()) {
    const double seconds = value->to_number<double>();
    if (seconds >= 0 && seconds <= kInstantMost) return std::optional(seconds);
  }
  return refuse("jwt_bad_claim", fmt::format("its '{}' is not a number of seconds since 1970", name));
}

Result<Wall> check_times(const json::object& claims, std::chrono::seconds leeway, Wall now) {
  const double now_s = static_cast<double>(unix_micros(now)) / 1e6;
  const double slack_s = static_cast<double>(leeway.count());
  TG_ASSIGN(const auto expires, instant_of(claims, "exp"));
  TG_ASSIGN(const auto begins, instant_of(claims, "nbf"));
  TG_ASSIGN(const auto issued, instant_of(claims, "iat"));
  if (!expires) return refuse("jwt_bad_claim", "it has no 'exp': a token without an end is refused");
  if (now_s >= *expires + slack_s) {
    return refuse("jwt_expired", fmt::format("it ended {:.0f} seconds ago", now_s - *expires));
  }
  if (begins && now_s < *begins - slack_s) {
    return refuse("jwt_not_yet_valid", fmt::format("it begins in {:.0f} seconds ('nbf')", *begins - now_s));
  }
  if (issued && now_s < *issued - slack_s) {
    return refuse("jwt_not_yet_valid",
                  fmt::format("it was issued {:.0f} seconds in the future ('iat'): compare the clocks", *issued - now_s));
  }
  return wall_from_unix_micros(static_cast<std::int64_t>(*expires) * 1'000'000);
}

Status check_parties(const json::object& claims, const JwtRules& rules) {
  const auto issuer = json::get_string(claims, "iss");
  if (!issuer || *issuer != rules.issuer) {
    return refuse("jwt_issuer", fmt::format("its issuer is '{}', not '{}'", issuer ? shown(*issuer) : std::string(),
                                            rules.issuer));
  }
  const json::value* named = claims.if_contains("aud");
  std::vector<std::string> audience;
  if (named != nullptr && named->is_string()) audience.emplace_back(named->get_string());
  if (named != nullptr && named->is_array()) {
    for (const json::value& one : named->get_array()) {
      if (!one.is_string()) return refuse("jwt_bad_claim", "its 'aud' holds something that is not a string");
      audience.emplace_back(one.get_string());
    }
  }
  if (std::ranges::find(audience, rules.audience) != audience.end()) return {};
  return refuse("jwt_audience",
                fmt::format("it is for '{}', not for '{}'", audience.empty() ? std::string() : shown(audience.front()),
                            rules.audience));
}

Result<std::string> subject_of(const json::object& claims) {
  auto subject = json::get_string(claims, "sub");
  const auto is_visible = [](char c) { return c > ' ' && c < 0x7f; };
  if (subject && !subject->empty() && subject->size() <= kSubjectBytesMax && std::ranges::all_of(*subject, is_visible)) {
    return *std::move(subject);
  }
  return refuse("jwt_bad_claim", fmt::format("its 'sub' must have 1 to {} visible ASCII characters", kSubjectBytesMax));
}

void append_strings(std::vector<std::string>& out, const json::value& value) {
  if (value.is_string()) out.emplace_back(value.get_string());
  if (!value.is_array()) return;
  for (const json::value& one : value.get_array()) {
    if (one.is_string()) out.emplace_back(one.get_string());
  }
}

}  // namespace

bool has_jwt_shape(std::string_view text) {
  const auto is_letter = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_' || c == '.';
  };
  const auto parts = split(text);
  return parts && !parts->header.empty() && !parts->claims.empty() && !parts->signature.empty() &&
         std::ranges::all_of(text, is_letter);
}

Result<std::string> jwt_key_id(std::string_view text) {
  TG_ASSIGN(const Parts parts, split(text));
  TG_ASSIGN(const json::object header, read_object(parts.header, "header"));
  return key_id_of(header);
}

Result<Jwt> verify_jwt(std::string_view text, const JwkSet& keys, const JwtRules& rules, Wall now) {
  TG_ASSIGN(const Parts parts, split(text));
  TG_ASSIGN(const json::object header, read_object(parts.header, "header"));
  TG_TRY(check_header(header));
  Jwt token;
  TG_ASSIGN(token.key_id, key_id_of(header));
  const JwkKey* key = keys.find(token.key_id);
  if (key == nullptr) {
    return refuse("jwt_unknown_key", token.key_id.empty()
                                         ? std::string("it names no key, and there is not exactly one")
                                         : fmt::format("no key of the issuer is named '{}'", shown(token.key_id)));
  }
  const auto algorithm = json::get_string(header, "alg");
  if (!algorithm || *algorithm != jwt_algorithm_name(key->algorithm())) {
    return refuse("jwt_algorithm", fmt::format("it says '{}', and its key signs with {}",
                                               algorithm ? shown(*algorithm) : std::string(),
                                               jwt_algorithm_name(key->algorithm())));
  }
  const auto signature = base64url_decode(parts.signature);
  if (!signature) return malformed("its signature is not base64url without padding");
  if (!key->verify(parts.signed_text, *signature)) {
    return refuse("jwt_bad_signature", fmt::format("its signature is not by the key '{}'", shown(token.key_id)));
  }
  // From here on the issuer itself speaks.
  TG_ASSIGN(token.claims, read_object(parts.claims, "claims"));
  TG_TRY(check_parties(token.claims, rules));
  TG_ASSIGN(token.expires, check_times(token.claims, rules.leeway, now));
  TG_ASSIGN(token.subject, subject_of(token.claims));
  return token;
}

std::vector<std::string> claim_values(const json::object& claims, std::string_view name) {
  std::vector<std::string> out;
  const json::object* from = &claims;
  while (true) {
    if (const json::value* value = from->if_contains(name)) {
      append_strings(out, *value);
      return out;
    }
    const std::size_t dot = name.find('.');
    if (dot == std::string_view::npos) return out;
    const json::value* inner = from->if_contains(name.substr(0, dot));
    if (inner == nullptr || !inner->is_object()) return out;
    from = &inner->get_object();
    name.remove_prefix(dot + 1);
  }
}

}  // namespace tidegate
