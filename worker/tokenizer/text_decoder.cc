#include "worker/tokenizer/text_decoder.h"

#include <cstdint>

namespace tidegate::worker {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Length of the character that this lead byte announces; 0 if no character starts so.
std::size_t announced_bytes(std::uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

// Whether `byte` may stand at `index` >= 1 of a character that starts with `lead` (Unicode, table 3-7: the
// second byte excludes overlong forms, surrogates and everything above U+10FFFF).
bool may_follow(std::uint8_t lead, std::size_t index, std::uint8_t byte) {
  std::uint8_t low = 0x80;
  std::uint8_t high = 0xBF;
  if (index == 1) {
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  }
  return byte >= low && byte <= high;
}

}  // namespace

std::string TextDecoder::feed(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (!held_.empty() && !may_follow(static_cast<std::uint8_t>(held_[0]), held_.size(), byte)) {
      text += kReplacement;
      held_.clear();
    }
    if (held_.empty() && announced_bytes(byte) == 0) {
      text += kReplacement;
      continue;
    }
    held_.push_back(c);
    if (held_.size() == announced_bytes(static_cast<std::uint8_t>(held_[0]))) {
      text += held_;
      held_.clear();
    }
  }
  return text;
}

std::string TextDecoder::finish() {
  const bool cut = !held_.empty();
  held_.clear();
  return cut ? std::string(kReplacement) : std::string();
}

}  // namespace tidegate::worker
