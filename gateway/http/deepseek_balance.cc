#include "gateway/http/deepseek_balance.h"

#include "base/core/json_text.h"

namespace tidegate::gateway {
namespace {

/// As DeepSeek prints money ("110.00"), but nothing is rounded away.
std::string amount_text(Money amount) {
  constexpr std::size_t kDecimalsMin = 2;
  std::string text = amount.to_string();
  auto point = text.find('.');
  if (point == std::string::npos) {
    point = text.size();
    text += '.';
  }
  const std::size_t decimals = text.size() - point - 1;
  if (decimals < kDecimalsMin) text.append(kDecimalsMin - decimals, '0');
  return text;
}

}  // namespace

std::string deepseek_balance(const Balances::Balance& balance) {
  std::string out = R"({"is_available":)";
  out += balance.is_available ? "true" : "false";
  out += R"(,"balance_infos":[{"currency":)";
  append_json_text(out, balance.currency);
  out += R"(,"total_balance":")" + amount_text(balance.granted + balance.topped_up);
  out += R"(","granted_balance":")" + amount_text(balance.granted);
  out += R"(","topped_up_balance":")" + amount_text(balance.topped_up);
  return out + "\"}]}";
}

}  // namespace tidegate::gateway
