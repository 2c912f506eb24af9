#include "base/core/key_scope.h"

#include <array>

namespace tidegate {
namespace {

constexpr std::array kAll = {KeyScope::kChat,   KeyScope::kCompletions, KeyScope::kEmbeddings,
                             KeyScope::kModels, KeyScope::kReceipts,    KeyScope::kUsage};

}  // namespace

std::string_view key_scope_name(KeyScope scope) {
  switch (scope) {
    case KeyScope::kChat:
      return "chat";
    case KeyScope::kCompletions:
      return "completions";
    case KeyScope::kEmbeddings:
      return "embeddings";
    case KeyScope::kModels:
      return "models";
    case KeyScope::kReceipts:
      return "receipts";
    case KeyScope::kUsage:
      return "usage";
  }
  return "";
}

std::optional<KeyScope> parse_key_scope(std::string_view name) {
  for (const KeyScope scope : kAll) {
    if (key_scope_name(scope) == name) return scope;
  }
  return std::nullopt;
}

KeyScopes KeyScopes::inference() {
  KeyScopes scopes;
  for (const KeyScope scope : kAll) {
    if (scope != KeyScope::kUsage) scopes.add(scope);
  }
  return scopes;
}

std::string KeyScopes::names() const {
  std::string out;
  for (const KeyScope scope : kAll) {
    if (!has(scope)) continue;
    if (!out.empty()) out += ", ";
    out += key_scope_name(scope);
  }
  return out;
}

}  // namespace tidegate
