#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/core/encoding.h"
#include "base/core/result.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/largest_allocation.h"

namespace tidegate::fuzz {

/// What is held of every refusal of a file: a person can read it, and a report, which is JSON, can hold it.
inline void claim_clear(const Error& error) {
  constexpr std::size_t kMessageBytesMax = 16 << 10;
  TG_CLAIM("a refusal says why", !error.reason.empty() && !error.message.empty());
  TG_CLAIM("a refusal is short", error.message.size() <= kMessageBytesMax);
  TG_CLAIM("a refusal is text", is_valid_utf8(error.message) && is_valid_utf8(error.field));
}

/// `part` lies within `whole`; nothing lies anywhere.
inline bool lies_within(std::span<const std::byte> part, std::span<const std::byte> whole) {
  if (part.empty()) return true;
  const auto begin = reinterpret_cast<std::uintptr_t>(part.data());
  const auto from = reinterpret_cast<std::uintptr_t>(whole.data());
  return begin >= from && begin - from <= whole.size() && part.size() <= whole.size() - (begin - from);
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

}  // namespace tidegate::fuzz
