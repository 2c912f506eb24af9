#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidegate {

/// What an API key may be used for: one vocabulary for billing, which stores it, gateways, which enforce it, and
/// people.
enum class KeyScope : std::uint8_t {
  kChat,         ///< conversations, in whatever dialect
  kCompletions,  ///< plain text completions
  kEmbeddings,
  kModels,    ///< the list of models with their prices
  kReceipts,  ///< receipts of the tenant's own requests
  kUsage,     ///< balance and usage: not of inference, so a key has it only when it was asked for
};

/// "chat", "completions", "embeddings", "models", "receipts", "usage".
std::string_view key_scope_name(KeyScope scope);
std::optional<KeyScope> parse_key_scope(std::string_view name);

/// A set of scopes, a value.
class KeyScopes {
 public:
  KeyScopes() = default;  ///< none
  /// What a key has that names no scopes: everything but kUsage.
  static KeyScopes inference();

  void add(KeyScope scope) { bits_ = static_cast<std::uint8_t>(bits_ | bit(scope)); }
  bool has(KeyScope scope) const { return (bits_ & bit(scope)) != 0; }
  /// "chat, models", in the order above; "" for none.
  std::string names() const;
  bool operator==(const KeyScopes&) const = default;

 private:
  static std::uint8_t bit(KeyScope scope) { return static_cast<std::uint8_t>(1U << static_cast<unsigned>(scope)); }
  std::uint8_t bits_ = 0;
};

}  // namespace tidegate
