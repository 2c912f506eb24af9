#include "worker/engine/engine.h"

#include <utility>

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

void append(SequenceEvent& event, SequenceEvent later) {
  event.accepted = event.accepted || later.accepted;
  event.reasoning += later.reasoning;
  event.content += later.content;
  append_calls(event.tool_calls, std::move(later.tool_calls));
  for (TokenLogprob& logprob : later.logprobs) event.logprobs.push_back(std::move(logprob));
  event.usage = later.usage;
  if (!later.finish) return;
  event.finish = later.finish;
  event.stop_text = std::move(later.stop_text);
  event.error = std::move(later.error);
}

}  // namespace tidegate::worker
