#include "gateway/core/tool_turns.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/encoding.h"
#include "gateway/core/plan_tools.h"

namespace tidegate::gateway {
namespace {

/// Ids come from outside: enough of one to find it.
std::string_view shown(const std::string& id) { return utf8_prefix(id, 64); }

class Turns {
 public:
  explicit Turns(std::string_view field) : field_(field) {}

  Status take(const PlanMessage& message) {
    if (message.role == Role::kTool) return answer(message);
    TG_TRY(all_answered());
    if (message.role != Role::kAssistant && !message.tool_calls.empty()) {
      return refuse("has calls in a message that is not the assistant's");
    }
    if (message.begins_answer && !message.tool_calls.empty()) {
      return refuse("has calls in the message that begins the answer; answer them, or leave them out");
    }
    if (std::ssize(message.tool_calls) > ToolLimits::kToolsMax) {
      return refuse(fmt::format("has a message with {} calls; send at most {}", message.tool_calls.size(),
                                ToolLimits::kToolsMax));
    }
    for (const ToolCall& call : message.tool_calls) TG_TRY(open(call));
    return {};
  }

  Status all_answered() const {
    if (open_.empty()) return {};
    return refuse(fmt::format("has a call '{}' without an answer; send its result right after the message with the call",
                              shown(open_.front())));
  }

 private:
  std::unexpected<Error> refuse(std::string_view rule) const {
    std::string message = fmt::format("'{}' {}.", field_, rule);
    return fail(Code::kInvalidArgument, "invalid_value", std::move(message), std::string(field_));
  }

  Status open(const ToolCall& call) {
    if (call.id.empty() || std::ssize(call.id) > ToolLimits::kCallIdBytesMax) {
      return refuse(fmt::format("has a call whose id is not 1 to {} bytes long", ToolLimits::kCallIdBytesMax));
    }
    if (!is_tool_name(call.name)) {
      return refuse(fmt::format("has a call '{}' whose function's name is not 1 to 64 letters, digits, '_' or '-'",
                                shown(call.id)));
    }
    if (std::ranges::find(open_, call.id) != open_.end()) {
      return refuse(fmt::format("has two calls '{}' at once; give each an id of its own", shown(call.id)));
    }
    open_.push_back(call.id);
    return {};
  }

  Status answer(const PlanMessage& message) {
    const auto call = std::ranges::find(open_, message.tool_call_id);
    if (call == open_.end()) {
      return refuse(fmt::format("answers a call '{}' that the assistant's message before it did not make, or that is "
                                "answered already",
                                shown(message.tool_call_id)));
    }
    open_.erase(call);
    return {};
  }

  std::string_view field_;
  std::vector<std::string> open_;  ///< ids in the order of their calls
};

}  // namespace

Status check_tool_turns(const Plan& plan, const PlanNames& names) {
  Turns turns(names.messages);
  for (const PlanMessage& message : plan.messages) TG_TRY(turns.take(message));
  return turns.all_answered();
}

}  // namespace tidegate::gateway
