#include "worker/tokenizer/deepseek_prompt.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tidegate::worker {
namespace {

constexpr std::string_view kThinkEnd = "</think>";
constexpr std::string_view kBlankLine = "\n\n";
constexpr std::string_view kFenceBegin = "\n```json\n";
constexpr std::string_view kFenceEnd = "\n```";

/// Writes one conversation. What a prompt looks like depends on who spoke last, and nothing else is remembered.
class DeepSeekPrompt {
 public:
  DeepSeekPrompt(DeepSeekKind kind, const DeepSeekTokens& tokens, PromptWriter& out)
      : kind_(kind), tokens_(tokens), out_(out) {}

  void write(std::span<const ChatMessage> messages, std::span<const ToolSpec> tools) {
    out_.control(tokens_.bos);
    write_system(messages, tools);
    const ChatMessage* opening = opening_of(messages);
    for (const ChatMessage& message : messages) {
      if (&message == opening) break;
      switch (message.role) {
        case Role::kSystem: break;
        case Role::kUser:
          leave_outputs();
          out_.control(tokens_.user);
          out_.text(message.content);
          last_ = Last::kUser;
          break;
        case Role::kAssistant: write_answer(message); break;
        case Role::kTool: write_output(message); break;
      }
    }
    write_end(opening, !tools.empty());
  }

 private:
  enum class Last : std::uint8_t { kNobody, kUser, kAssistant, kTool };

  void write_system(std::span<const ChatMessage> messages, std::span<const ToolSpec> tools) {
    bool first = true;
    for (const ChatMessage& message : messages) {
      if (message.role != Role::kSystem) continue;
      if (!std::exchange(first, false)) out_.text(kBlankLine);
      out_.text(message.content);
    }
    if (tools.empty()) return;
    out_.text("\n\n## Tools\nYou have access to the following tools:\n\n");
    for (const ToolSpec& tool : tools) {
      out_.text("### ");
      out_.text(tool.name);
      out_.text("\nDescription: ");
      out_.text(tool.description);
      out_.text("\n\nParameters: ");
      out_.text(tool.parameters.empty() ? std::string_view("{}") : std::string_view(tool.parameters));
      out_.text(kBlankLine);
    }
    if (kind_ == DeepSeekKind::kV31) {
      write_v31_rules();
    } else {
      write_fenced_rules();
    }
  }

  /// As V3.1 was trained on it.
  void write_v31_rules() {
    out_.text("IMPORTANT: ALWAYS adhere to this exact format for tool use:\n");
    out_.control(tokens_.calls_begin);
    out_.control(tokens_.call_begin);
    out_.text("tool_call_name");
    out_.control(tokens_.separator);
    out_.text("tool_call_arguments");
    out_.control(tokens_.call_end);
    out_.text("{additional_tool_calls}");
    out_.control(tokens_.calls_end);
    out_.text(
        "\n\nWhere:\n"
        "- `tool_call_name` must be an exact match to one of the available tools\n"
        "- `tool_call_arguments` must be valid JSON that strictly follows the tool's Parameters Schema\n"
        "- For multiple tool calls, chain them directly without separators or spaces");
  }

  /// V3 and R1 come without words of their own for tools, only with the form of a call.
  void write_fenced_rules() {
    out_.text("To use tools, end your answer with calls in exactly this form, one behind the other:\n");
    out_.control(tokens_.calls_begin);
    out_.control(tokens_.call_begin);
    out_.text("function");
    out_.control(tokens_.separator);
    out_.text("NAME\n```json\nARGUMENTS\n```");
    out_.control(tokens_.call_end);
    out_.control(tokens_.calls_end);
    out_.text("\nNAME is the name of a tool above; ARGUMENTS is a JSON object that follows its Parameters.");
  }

  /// Only V3 and R1 have marks around all outputs of one turn.
  void leave_outputs() {
    if (last_ == Last::kTool && kind_ != DeepSeekKind::kV31) out_.control(tokens_.outputs_end);
  }

  /// Behind outputs the answer goes on without a token of its own.
  void begin_answer() {
    leave_outputs();
    if (kind_ == DeepSeekKind::kV31) {
      if (last_ != Last::kUser) return;
      out_.control(tokens_.assistant);
      out_.control(tokens_.think_end);
    } else if (last_ != Last::kTool) {
      out_.control(tokens_.assistant);
    }
  }

  void write_answer(const ChatMessage& message) {
    begin_answer();
    // V3.1 keeps what follows outputs as it is.
    const bool is_whole = kind_ == DeepSeekKind::kV31 && last_ == Last::kTool && message.tool_calls.empty();
    out_.text(is_whole ? std::string_view(message.content) : deepseek_history(kind_, message.content));
    if (!message.tool_calls.empty()) write_calls(message.tool_calls);
    out_.control(tokens_.eos);
    last_ = Last::kAssistant;
  }

  /// The template that came with V3 closes the list only when it has two calls or more; it is closed always here.
  void write_calls(const std::vector<ToolCall>& calls) {
    out_.control(tokens_.calls_begin);
    bool first = true;
    for (const ToolCall& call : calls) {
      if (!std::exchange(first, false) && kind_ != DeepSeekKind::kV31) out_.text("\n");
      out_.control(tokens_.call_begin);
      if (kind_ != DeepSeekKind::kV31) {
        out_.text("function");
        out_.control(tokens_.separator);
        out_.text(call.name);
        out_.text(kFenceBegin);
        out_.text(call.arguments);
        out_.text(kFenceEnd);
      } else {
        out_.text(call.name);
        out_.control(tokens_.separator);
        out_.text(call.arguments);
      }
      out_.control(tokens_.call_end);
    }
    out_.control(tokens_.calls_end);
  }

  void write_output(const ChatMessage& message) {
    if (kind_ != DeepSeekKind::kV31) {
      if (last_ == Last::kTool) {
        out_.text("\n");
      } else {
        out_.control(tokens_.outputs_begin);
      }
    }
    out_.control(tokens_.output_begin);
    out_.text(message.content);
    out_.control(tokens_.output_end);
    last_ = Last::kTool;
  }

  void write_end(const ChatMessage* opening, bool has_tools) {
    leave_outputs();
    switch (kind_) {
      case DeepSeekKind::kR1: return write_r1_end(opening);
      case DeepSeekKind::kV3:
        if (last_ != Last::kTool) out_.control(tokens_.assistant);
        if (opening != nullptr) out_.text(opening->content);
        return;
      case DeepSeekKind::kV31: return write_v31_end(opening, has_tools);
    }
  }

  void write_r1_end(const ChatMessage* opening) {
    const bool is_behind_outputs = last_ == Last::kTool;
    if (!is_behind_outputs) out_.control(tokens_.assistant);
    if (is_behind_outputs && (opening == nullptr || opening->reasoning.empty())) {
      if (opening != nullptr) out_.text(opening->content);
      return;
    }
    out_.control(tokens_.think);
    out_.text("\n");
    if (opening == nullptr) return;
    out_.text(opening->reasoning);
    if (opening->content.empty() && !opening->ends_thinking) return;
    // As the model itself would have written it: line breaks around </think> belong to the tag.
    out_.text("\n");
    out_.control(tokens_.think_end);
    out_.text(kBlankLine);
    out_.text(opening->content);
  }

  void write_v31_end(const ChatMessage* opening, bool has_tools) {
    const bool is_turn = last_ == Last::kUser || last_ == Last::kNobody;
    if (is_turn) out_.control(tokens_.assistant);
    if (opening == nullptr) {
      if (is_turn) out_.control(has_tools ? tokens_.think_end : tokens_.think);
      return;
    }
    if (!opening->reasoning.empty()) {
      out_.control(tokens_.think);
      out_.text(opening->reasoning);
      if (opening->content.empty() && !opening->ends_thinking) return;
      out_.control(tokens_.think_end);
    } else if (is_turn) {
      out_.control(tokens_.think_end);
    }
    out_.text(opening->content);
  }

  DeepSeekKind kind_;
  const DeepSeekTokens& tokens_;
  PromptWriter& out_;
  Last last_ = Last::kNobody;
};

bool ends_in_outputs(std::span<const ChatMessage> messages) {
  const bool has_opening = opening_of(messages) != nullptr;
  const std::size_t turns = messages.size() - (has_opening ? 1 : 0);
  return turns > 0 && messages[turns - 1].role == Role::kTool;
}

}  // namespace

void write_deepseek_prompt(DeepSeekKind kind, const DeepSeekTokens& tokens, std::span<const ChatMessage> messages,
                           std::span<const ToolSpec> tools, PromptWriter& out) {
  DeepSeekPrompt(kind, tokens, out).write(messages, tools);
}

bool deepseek_opens_thinking(DeepSeekKind kind, std::span<const ChatMessage> messages,
                             std::span<const ToolSpec> tools) {
  const ChatMessage* opening = opening_of(messages);
  if (kind == DeepSeekKind::kV3) return false;
  if (opening != nullptr && (!opening->content.empty() || opening->ends_thinking)) return false;
  if (opening != nullptr && !opening->reasoning.empty()) return true;
  if (ends_in_outputs(messages)) return false;
  if (kind == DeepSeekKind::kR1) return true;
  // V3.1 uses tools without thinking, and an answer that was begun with nothing is begun behind its thinking.
  if (opening != nullptr || !tools.empty()) return false;
  for (auto turn = messages.rbegin(); turn != messages.rend(); ++turn) {
    if (turn->role != Role::kSystem) return turn->role == Role::kUser;
  }
  return true;
}

std::string_view deepseek_history(DeepSeekKind kind, std::string_view content) {
  if (kind == DeepSeekKind::kV3) return content;
  const std::size_t at = kind == DeepSeekKind::kR1 ? content.rfind(kThinkEnd) : content.find(kThinkEnd);
  return at == std::string_view::npos ? content : content.substr(at + kThinkEnd.size());
}

}  // namespace tidegate::worker
