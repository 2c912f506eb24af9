#include "gateway/guard/guard.h"

namespace tidegate::gateway {

std::string_view direction_name(GuardDirection direction) {
  switch (direction) {
    case GuardDirection::kInput: return "input";
    case GuardDirection::kOutput: return "output";
  }
  return "input";
}

std::string_view action_name(GuardAction action) {
  switch (action) {
    case GuardAction::kLog: return "log";
    case GuardAction::kMask: return "mask";
    case GuardAction::kDeny: return "deny";
  }
  return "log";
}

GuardVerdict pass_verdict(const GuardCheck& check) {
  GuardVerdict verdict;
  for (const GuardText& text : check.texts) verdict.decided.push_back(text.piece().size());
  return verdict;
}

}  // namespace tidegate::gateway
