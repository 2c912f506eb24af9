#include "gateway/guard/answer_guard.h"

#include <algorithm>
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

AnswerGuard::AnswerGuard(GuardDesk& desk, GuardSubject subject, Content content, std::int32_t choices)
    : desk_(desk), subject_(std::move(subject)), content_(content) {
  for (std::int32_t i = 0; i < choices; ++i) sides_.emplace_back(window());
}

std::string AnswerGuard::taken_content(Side& side, SequenceDelta& delta) const {
  std::string content = std::exchange(delta.content, {});
  if (content_ == Content::kText) return content;
  std::string spelled = side.spelling.take(content);
  if (delta.end || delta.choice_end) spelled += side.spelling.finish();
  return spelled;
}

std::string& AnswerGuard::home_of(Side& side, const CallText& text) {
  ToolCallDelta& call = side.calls[text.call];
  return text.is_name ? call.name : call.arguments;
}

void AnswerGuard::take(Side& side, SequenceDelta& delta) {
  if (delta.accepted) {
    through_.prompt = delta.usage.prompt;
    through_.cached = delta.usage.cached;
  }
  // What the answer took it took, whatever of its text is handed over.
  through_.drafted = delta.usage.drafted;
  through_.accepted = delta.usage.accepted;
  through_.device_us = delta.usage.device_us;
  // Its usage counts tokens whose text is yet to come: it is not that of any text.
  if (!delta.has_text() && !delta.end && !delta.choice_end) return;
  side.has_content |= !delta.content.empty() || !delta.tool_calls.empty();
  side.parts[kReasoning].append(std::exchange(delta.reasoning, {}));
  side.parts[kContent].append(taken_content(side, delta));
  for (const ToolCallDelta& piece : delta.tool_calls) side.calls_begun += piece.is_first() ? 1 : 0;
  append_calls(side.calls, std::exchange(delta.tool_calls, {}));
  Mark mark;
  mark.calls = side.calls_begun;
  for (std::size_t i = 0; i < kParts; ++i) mark.ends[i] = side.parts[i].appended();
  // What waits becomes a byte at least.
  if (side.spelling.is_waiting()) ++mark.ends[kContent];
  mark.usage = delta.own;
  mark.usage.prompt = delta.usage.prompt;
  mark.usage.cached = delta.usage.cached;
  side.marks.push_back(mark);
}

void AnswerGuard::settle_marks(Side& side) {
  while (!side.marks.empty()) {
    const Mark& mark = side.marks.front();
    for (std::size_t i = 0; i < kParts; ++i) {
      if (mark.ends[i] > side.parts[i].decided()) return;
    }
    if (mark.calls > side.calls_through) return;
    through_.prompt = mark.usage.prompt;
    through_.cached = mark.usage.cached;
    through_.completion += mark.usage.completion - side.through.completion;
    through_.reasoning += mark.usage.reasoning - side.through.reasoning;
    side.through = mark.usage;
    side.marks.pop_front();
  }
}

bool AnswerGuard::holds_nothing() const {
  return std::ranges::all_of(sides_, [](const Side& side) { return side.marks.empty(); });
}

void AnswerGuard::hand_over_calls(Side& side, SequenceDelta& delta, std::size_t count) {
  const auto end = side.calls.begin() + static_cast<std::ptrdiff_t>(count);
  delta.tool_calls.assign(std::make_move_iterator(side.calls.begin()), std::make_move_iterator(end));
  side.calls.erase(side.calls.begin(), end);
  side.calls_through += count;
}

std::vector<AnswerGuard::CallText> AnswerGuard::show_calls(Side& side, std::size_t count, GuardCheck& check) {
  std::vector<CallText> shown;
  const auto show = [&](std::size_t call, bool is_name) {
    const CallText one{call, is_name};
    if (home_of(side, one).empty()) return;
    GuardText text;
    text.role = is_name ? kNameRole : kCallRole;
    text.all = home_of(side, one);
    check.texts.push_back(text);
    shown.push_back(one);
  };
  for (std::size_t i = 0; i < count; ++i) {
    std::string& arguments = side.calls[i].arguments;
    if (arguments.find('\\') != std::string::npos) arguments = spelled_out(arguments);
    show(i, true);  // a call of nothing is still a call: its name says what would be run
    show(i, false);
  }
  return shown;
}

awaitable<bool> AnswerGuard::pass(SequenceDelta& delta) {
  // Text that comes with a failure is not handed over.
  if (delta.end == SequenceEnd::kError || delta.end == SequenceEnd::kCancelled) co_return false;
  // What names no answer of the request is its driver's to refuse.
  if (delta.choice < 0 || delta.choice >= std::ssize(sides_)) co_return false;
  Side& side = sides_[static_cast<std::size_t>(delta.choice)];
  const bool is_end = delta.end.has_value() || delta.choice_end.has_value();
  const bool has_news = is_end || delta.has_text();
  take(side, delta);
  if (!has_news) {
    delta.usage = through_;
    co_return false;
  }
  GuardCheck check{subject_, GuardDirection::kOutput, {}, window()};
  std::vector<std::size_t> shown;
  for (std::size_t i = 0; i < kParts; ++i) {
    if (!side.parts[i].has_undecided()) continue;
    const bool is_last = is_end || (i == kReasoning && side.has_content);
    check.texts.push_back(side.parts[i].view(kRoles[i], is_last));
    shown.push_back(i);
  }
  // The last call may go on until the answer ends.
  const std::size_t whole = is_end || side.calls.empty() ? side.calls.size() : side.calls.size() - 1;
  const std::vector<CallText> calls_shown = show_calls(side, whole, check);
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
      side.parts[shown[i]].advance(verdict->decided[i]);
    }
    is_cut = verdict->denial.has_value();
    for (std::size_t i = 0; i < calls_shown.size() && !is_cut; ++i) {
      const std::size_t at = shown.size() + i;
      std::string decided = decided_text(*verdict, at, check.texts[at].piece());
      home_of(side, calls_shown[i]) = std::move(decided);
    }
  }
  // What a denied answer would have run is not run.
  if (!is_cut) hand_over_calls(side, delta, whole);
  settle_marks(side);
  // An end behind which nothing is left is charged for what the engine counted.
  if (delta.end && !is_cut && holds_nothing()) through_ = delta.usage;
  delta.usage = through_;
  if (is_cut) {
    delta.end = SequenceEnd::kFiltered;
    delta.choice_end.reset();
    delta.stop_text.clear();
  }
  co_return is_cut;
}

void AnswerGuard::reset() {
  const std::size_t choices = sides_.size();
  sides_.clear();
  for (std::size_t i = 0; i < choices; ++i) sides_.emplace_back(window());
  through_ = {};
}

}  // namespace tidegate::gateway
