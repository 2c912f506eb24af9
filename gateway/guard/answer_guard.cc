#include "gateway/guard/answer_guard.h"

#include <iterator>
#include <string>
#include <utility>
#include <vector>


namespace tidegate::gateway {
namespace {

constexpr std::array<std::string_view, 2> kRoles = {"reasoning", "answer"};
constexpr std::string_view kNameRole = "name";
constexpr std::string_view kCallRole = "call";

}  // namespace

std::string AnswerGuard::taken_content(SequenceDelta& delta) {
  std::string content = std::exchange(delta.content, {});
  if (content_ == Content::kText) return content;
  std::string spelled = spelling_.take(content);
  if (delta.end) spelled += spelling_.finish();
  return spelled;
}

std::string& AnswerGuard::home_of(const CallText& text) {
  ToolCallDelta& call = calls_[text.call];
  return text.is_name ? call.name : call.arguments;
}

void AnswerGuard::take(SequenceDelta& delta) {
  if (delta.accepted) {
    through_.prompt = delta.usage.prompt;
    through_.cached = delta.usage.cached;
  }
  // Its usage counts tokens whose text is yet to come: it is not that of any text.
  if (delta.reasoning.empty() && delta.content.empty() && delta.tool_calls.empty() && !delta.end) return;
  has_content_ |= !delta.content.empty() || !delta.tool_calls.empty();
  parts_[kReasoning].append(std::exchange(delta.reasoning, {}));
  parts_[kContent].append(taken_content(delta));
  for (const ToolCallDelta& piece : delta.tool_calls) calls_begun_ += piece.is_first() ? 1 : 0;
  append_calls(calls_, std::exchange(delta.tool_calls, {}));
  Mark mark;
  mark.calls = calls_begun_;
  for (std::size_t i = 0; i < kParts; ++i) mark.ends[i] = parts_[i].appended();
  // What waits becomes a byte at least.
  if (spelling_.is_waiting()) ++mark.ends[kContent];
  mark.usage = delta.usage;
  marks_.push_back(mark);
}

void AnswerGuard::settle_marks() {
  while (!marks_.empty()) {
    const Mark& mark = marks_.front();
    for (std::size_t i = 0; i < kParts; ++i) {
      if (mark.ends[i] > parts_[i].decided()) return;
    }
    if (mark.calls > calls_through_) return;
    through_ = mark.usage;
    marks_.pop_front();
  }
}

void AnswerGuard::hand_over_calls(SequenceDelta& delta, std::size_t count) {
  const auto end = calls_.begin() + static_cast<std::ptrdiff_t>(count);
  delta.tool_calls.assign(std::make_move_iterator(calls_.begin()), std::make_move_iterator(end));
  calls_.erase(calls_.begin(), end);
  calls_through_ += count;
}

std::vector<AnswerGuard::CallText> AnswerGuard::show_calls(std::size_t count, GuardCheck& check) {
  std::vector<CallText> shown;
  const auto show = [&](std::size_t call, bool is_name) {
    const CallText one{call, is_name};
    if (home_of(one).empty()) return;
    GuardText text;
    text.role = is_name ? kNameRole : kCallRole;
    text.all = home_of(one);
    check.texts.push_back(text);
    shown.push_back(one);
  };
  for (std::size_t i = 0; i < count; ++i) {
    std::string& arguments = calls_[i].arguments;
    if (arguments.find('\\') != std::string::npos) arguments = spelled_out(arguments);
    show(i, true);  // a call of nothing is still a call: its name says what would be run
    show(i, false);
  }
  return shown;
}

awaitable<bool> AnswerGuard::pass(SequenceDelta& delta) {
  // Text that comes with a failure is not handed over.
  if (delta.end == SequenceEnd::kError || delta.end == SequenceEnd::kCancelled) co_return false;
  const bool is_end = delta.end.has_value();
  const bool has_news =
      is_end || !delta.reasoning.empty() || !delta.content.empty() || !delta.tool_calls.empty();
  take(delta);
  if (!has_news) {
    delta.usage = through_;
    co_return false;
  }
  GuardCheck check{subject_, GuardDirection::kOutput, {}, window()};
  std::vector<std::size_t> shown;
  for (std::size_t i = 0; i < kParts; ++i) {
    if (!parts_[i].has_undecided()) continue;
    const bool is_last = is_end || (i == kReasoning && has_content_);
    check.texts.push_back(parts_[i].view(kRoles[i], is_last));
    shown.push_back(i);
  }
  // The last call may go on until the answer ends.
  const std::size_t whole = is_end || calls_.empty() ? calls_.size() : calls_.size() - 1;
  const std::vector<CallText> calls_shown = show_calls(whole, check);
  bool is_cut = false;
  if (!check.texts.empty()) {
    auto asking = desk_.ask(check, told_);
    const Result<GuardVerdict> verdict = co_await std::move(asking);
    if (!verdict) {
      delta.end = SequenceEnd::kError;
      delta.error = verdict.error();
      delta.usage = through_;
      co_return true;
    }
    for (std::size_t i = 0; i < shown.size(); ++i) {
      if (verdict->denial && i > verdict->denial->text) break;
      std::string& out = shown[i] == kReasoning ? delta.reasoning : delta.content;
      out = decided_text(*verdict, i, check.texts[i].piece());
      parts_[shown[i]].advance(verdict->decided[i]);
    }
    is_cut = verdict->denial.has_value();
    for (std::size_t i = 0; i < calls_shown.size() && !is_cut; ++i) {
      const std::size_t at = shown.size() + i;
      std::string decided = decided_text(*verdict, at, check.texts[at].piece());
      home_of(calls_shown[i]) = std::move(decided);
    }
  }
  // What a denied answer would have run is not run.
  if (!is_cut) hand_over_calls(delta, whole);
  settle_marks();
  delta.usage = through_;
  if (is_cut) {
    delta.end = SequenceEnd::kFiltered;
    delta.stop_text.clear();
  }
  co_return is_cut;
}

void AnswerGuard::reset() {
  for (StreamWindow& part : parts_) part.clear();
  marks_.clear();
  through_ = {};
  has_content_ = false;
  spelling_.clear();
  calls_.clear();
  calls_begun_ = 0;
  calls_through_ = 0;
}

}  // namespace tidegate::gateway
