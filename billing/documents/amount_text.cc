#include "billing/documents/amount_text.h"

#include <algorithm>
#include <cstddef>

namespace tidegate::billing {

namespace {

/// Commas between groups of three of the digits before any point.
std::string grouped(const std::string& text) {
  const std::size_t begin = text.starts_with('-') ? 1 : 0;
  const std::size_t end = std::min(text.find('.'), text.size());
  std::string out = text.substr(0, begin);
  for (std::size_t i = begin; i < end; ++i) {
    out += text[i];
    if (i + 1 < end && (end - i - 1) % 3 == 0) out += ',';
  }
  return out + text.substr(end);
}

}  // namespace

std::string amount_text(Money amount, int decimals_min) {
  std::string text = amount.to_string();
  const auto point = text.find('.');
  const auto decimals = point == text.npos ? 0 : static_cast<int>(text.size() - point - 1);
  if (decimals < decimals_min) {
    if (decimals == 0) text += '.';
    text.append(static_cast<std::size_t>(decimals_min - decimals), '0');
  }
  return grouped(text);
}

std::string count_text(Int128 count) { return grouped(int128_to_string(count)); }

}  // namespace tidegate::billing
