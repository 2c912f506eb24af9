#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/money.h"
#include "base/core/result.h"

/// What a cap may be. Pure.
namespace tidegate::billing {

enum class CapScope : std::uint8_t { kTenant, kProject, kKey, kUser };
enum class CapPeriod : std::uint8_t { kTotal, kMonthly, kDaily };

std::string_view cap_scope_name(CapScope scope);
std::string_view cap_period_name(CapPeriod period);
std::optional<CapScope> parse_cap_scope(std::string_view name);
std::optional<CapPeriod> parse_cap_period(std::string_view name);

/// Every gateway keeps every cap in memory.
inline constexpr std::int64_t kCapsOfTenantMax = 10'000;
/// The longest `user` text that is told apart; gateways refuse longer ones.
inline constexpr std::size_t kEndUserBytesMax = 256;

/// Whose spending is capped, as the caller wrote it: at most one is set.
struct CapSubjectText {
  std::string_view project, key, user;
  bool is_every_user = false;
};
/// Fails: invalid_argument/bad_cap naming the field.
Result<CapScope> scope_of(const CapSubjectText& subject);
/// "" is monthly. Fails: invalid_argument/bad_cap.
Result<CapPeriod> read_cap_period(std::string_view text);
/// Fails: invalid_argument/bad_amount.
Status check_cap_amount(Money amount);

}  // namespace tidegate::billing
