#include "billing/core/webhook_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tidegate::billing {

namespace {

struct Block {
  std::array<std::uint8_t, 16> first;
  int bits;
};

bool lies_in(std::span<const std::uint8_t> bytes, const Block& block) {
  for (int bit = 0; bit < block.bits; bit += 8) {
    const auto i = static_cast<std::size_t>(bit / 8);
    const int rest = std::min(8, block.bits - bit);
    const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
    if ((bytes[i] & mask) != (block.first[i] & mask)) return false;
  }
  return true;
}

/// IANA's special-purpose registries, as of 2026.
constexpr Block kSpecialV4[] = {
    {{0}, 8},          {{10}, 8},           {{100, 64}, 10},    {{127}, 8},     {{169, 254}, 16},
    {{172, 16}, 12},   {{192, 0, 0}, 24},   {{192, 0, 2}, 24},  {{192, 88, 99}, 24},
    {{192, 168}, 16},  {{198, 18}, 15},     {{198, 51, 100}, 24}, {{203, 0, 113}, 24}, {{224}, 4}, {{240}, 4}};
/// Global unicast is 2000::/3 alone; of it, these are not.
constexpr Block kGlobalV6{{0x20}, 3};
constexpr Block kSpecialV6[] = {
    {{0x20, 0x01, 0x00}, 23}, {{0x20, 0x01, 0x0d, 0xb8}, 32}, {{0x20, 0x02}, 16}, {{0x3f, 0xff}, 20}};
constexpr Block kMapped{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96};
constexpr Block kTranslated{{0x00, 0x64, 0xff, 0x9b}, 96};

std::unexpected<Error> bad_webhook(std::string message) {
  return fail(Code::kInvalidArgument, "bad_webhook", std::move(message), "url");
}

}  // namespace

Status check_webhook_url(std::string_view url) {
  if (url.size() > kWebhookUrlMax) return bad_webhook(fmt::format("the URL is longer than {} bytes", kWebhookUrlMax));
  const bool is_printable = std::ranges::all_of(url, [](char c) { return c > ' ' && c < 127; });
  if (!is_printable) return bad_webhook("the URL has a space or a character that is not ASCII; escape it with %");
  std::size_t scheme = 0;
  if (url.starts_with("https://")) scheme = 8;
  if (url.starts_with("http://")) scheme = 7;
  if (scheme == 0) return bad_webhook("the URL must begin with https:// or http://");
  const std::string_view authority = url.substr(scheme, url.find_first_of("/?#", scheme) - scheme);
  if (authority.empty()) return bad_webhook("the URL names no host");
  if (authority.contains('@')) return bad_webhook("the URL must not hold a user or password; deliveries are signed");
  return {};
}

bool is_public_address(std::span<const std::uint8_t> bytes) {
  const auto is_special_v4 = [](std::span<const std::uint8_t> v4) {
    return std::ranges::any_of(kSpecialV4, [&](const Block& block) { return lies_in(v4, block); });
  };
  if (bytes.size() == 4) return !is_special_v4(bytes);
  if (bytes.size() != 16) return false;
  if (lies_in(bytes, kMapped) || lies_in(bytes, kTranslated)) return !is_special_v4(bytes.subspan(12));
  if (!lies_in(bytes, kGlobalV6)) return false;
  return std::ranges::none_of(kSpecialV6, [&](const Block& block) { return lies_in(bytes, block); });
}

std::chrono::seconds webhook_pause(int attempts) {
  constexpr std::chrono::seconds kLeast{5}, kMost{3600};
  return std::min(kMost, kLeast * (1 << std::clamp(attempts - 1, 0, 10)));
}

}  // namespace tidegate::billing
