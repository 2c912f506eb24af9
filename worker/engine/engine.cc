#include "worker/engine/engine.h"

#include "base/core/encoding.h"

namespace tidegate::worker {

std::string GenerateRequest::call_id_suffix() const {
  constexpr std::size_t kBytes = 12;
  const std::string_view raw_id = request.raw();
  return hex_encode(raw_id.substr(raw_id.size() - kBytes));
}

std::optional<ToolParser> GenerateRequest::parser(ToolSyntax syntax) const {
  if (syntax == ToolSyntax::kNone || offer.open().empty()) return std::nullopt;
  ToolParser::Limits limits;
  limits.is_parallel = offer.is_parallel;
  return ToolParser(syntax, call_id_suffix(), limits);
}

}  // namespace tidegate::worker
