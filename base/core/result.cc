#include "base/core/result.h"

#include <array>

namespace tidegate {

std::string_view code_name(Code code) {
  static constexpr std::array<std::string_view, 17> kNames = {
      "ok", "cancelled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists",
      "permission_denied", "resource_exhausted", "failed_precondition", "aborted", "out_of_range",
      "unimplemented", "internal", "unavailable", "data_loss", "unauthenticated"};
  const auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames[index] : "unknown";
}

std::string Error::to_string() const {
  std::string text(code_name(code));
  text += '/';
  text += reason;
  text += ": ";
  text += message;
  if (!field.empty()) text += " (" + field + ")";
  return text;
}

}  // namespace tidegate
