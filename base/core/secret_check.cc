#include "base/core/secret_check.h"

#include <fmt/format.h>

#include <set>

namespace tidegate {

namespace {
constexpr std::size_t kSecretLengthMin = 32;
constexpr std::size_t kSecretDistinctMin = 8;
}  // namespace

Status check_secret(std::string_view option, const std::string& secret) {
  const std::set<char> distinct(secret.begin(), secret.end());
  if (secret.size() >= kSecretLengthMin && distinct.size() >= kSecretDistinctMin) return {};
  return fail(Code::kInvalidArgument, "weak_secret",
              fmt::format("{} must hold at least {} random characters, {} of them different; write one with: openssl rand -hex 32",
                          option, kSecretLengthMin, kSecretDistinctMin),
              std::string(option));
}

}  // namespace tidegate
