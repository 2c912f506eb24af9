#include "worker/engine/tool_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/core/encoding.h"
#include "base/core/random.h"
#include "worker/engine/answer_stream.h"

namespace tidegate::worker::tool_parser_test {
namespace {

using Item = std::variant<std::string, ToolMark>;
using Items = std::vector<Item>;

constexpr ToolMark kCallsBegin = ToolMark::kCallsBegin;
constexpr ToolMark kCallsEnd = ToolMark::kCallsEnd;
constexpr ToolMark kCall = ToolMark::kCallBegin;
constexpr ToolMark kEnd = ToolMark::kCallEnd;
constexpr ToolMark kSep = ToolMark::kSeparator;

struct Joined {
  std::string content;
  ToolCallDeltas calls;

  void add(ToolParser::Output out) {
    EXPECT_TRUE(is_valid_utf8(out.content)) << out.content;
    for (const ToolCallDelta& call : out.calls) EXPECT_TRUE(is_valid_utf8(call.arguments)) << call.arguments;
    content += out.content;
    append_calls(calls, std::move(out.calls));
  }
  bool operator==(const Joined&) const = default;
};

ToolParser parser_of(ToolSyntax syntax, bool is_parallel = true) {
  ToolParser::Limits limits;
  limits.is_parallel = is_parallel;
  return ToolParser(syntax, "id", limits);
}

Joined parse(ToolSyntax syntax, const Items& items) {
  ToolParser parser = parser_of(syntax);
  Joined joined;
  for (const Item& item : items) {
    const auto* mark = std::get_if<ToolMark>(&item);
    joined.add(mark != nullptr ? parser.on_mark(*mark) : parser.on_text(std::get<std::string>(item)));
  }
  joined.add(parser.finish());
  return joined;
}

/// The same items with every text cut at random, between characters.
Items cut(const Items& items, Rng& rng) {
  Items out;
  for (const Item& item : items) {
    const auto* text = std::get_if<std::string>(&item);
    if (text == nullptr) {
      out.push_back(item);
      continue;
    }
    std::string piece;
    for (std::size_t i = 0; i < text->size(); ++i) {
      const bool begins_character = (static_cast<unsigned char>((*text)[i]) & 0xC0U) != 0x80U;
      if (begins_character && !piece.empty() && rng.below(3) == 0) out.emplace_back(std::exchange(piece, {}));
      piece += (*text)[i];
    }
    out.emplace_back(piece);
  }
  return out;
}

ToolCallDelta call(std::int32_t index, std::string name, std::string arguments) {
  return {index, "call_0" + std::to_string(index) + "_id", std::move(name), std::move(arguments)};
}

struct Case {
  const char* about;
  ToolSyntax syntax;
  Items items;
  Joined wanted;
};

std::vector<Case> cases() {
  const ToolSyntax fenced = ToolSyntax::kDeepSeekFenced;
  const ToolSyntax plain = ToolSyntax::kDeepSeekPlain;
  const ToolSyntax hermes = ToolSyntax::kHermes;
  return {
      {"text without calls", plain, {"a\nb\n"}, {"a\nb\n", {}}},
      {"one fenced call", fenced,
       {"Wait.\n\n", kCallsBegin, kCall, "function", kSep, "f\n```json\n{\"x\": \"月}\"}\n```", kEnd, kCallsEnd},
       {"Wait.", {call(0, "f", "{\"x\": \"月}\"}")}}},
      {"two fenced calls", fenced,
       {kCallsBegin, kCall, "function", kSep, "f\n```json\n{}\n```", kEnd, "\n", kCall, "function", kSep, "g\n```\n{\"a\":1}\n```",
        kEnd, kCallsEnd},
       {"", {call(0, "f", "{}"), call(1, "g", "{\"a\":1}")}}},
      {"a fenced call without arguments", fenced, {kCall, "function", kSep, "f\n", kEnd}, {"", {call(0, "f", "{}")}}},
      {"two plain calls", plain,
       {kCallsBegin, kCall, "f", kSep, "{\"a\":[1,2]}", kEnd, kCall, "g", kSep, " {} ", kEnd, kCallsEnd},
       {"", {call(0, "f", "{\"a\":[1,2]}"), call(1, "g", "{}")}}},
      {"a plain call without arguments", plain, {kCall, "f", kSep, kEnd}, {"", {call(0, "f", "{}")}}},
      {"calls whose ends are missing", plain, {kCall, "f", kSep, "{}", kCall, "g", kSep, "{}"},
       {"", {call(0, "f", "{}"), call(1, "g", "{}")}}},
      {"Hermes", hermes,
       {"Wait.\n", kCall, "\n{\"name\": \"f\", \"arguments\": {\"x\": {\"y\": \"}\"}}}\n", kEnd, "\n", kCall,
        "{\"name\":\"g\",\"arguments\":{}}", kEnd},
       {"Wait.", {call(0, "f", "{\"x\": {\"y\": \"}\"}}"), call(1, "g", "{}")}}},
      {"Hermes with its name last", hermes, {kCall, "{\"arguments\": {\"a\": 1}, \"id\": 5, \"name\": \"f\"}", kEnd},
       {"", {call(0, "f", "{\"a\": 1}")}}},
      {"Hermes with its arguments in a string", hermes, {kCall, R"({"name":"f","arguments":"{\"a\":1}"})", kEnd},
       {"", {call(0, "f", "{\"a\":1}")}}},
      {"Hermes without arguments", hermes, {kCall, "{\"name\": \"f\"}", kEnd}, {"", {call(0, "f", "{}")}}},
      {"text behind calls stays", plain, {kCallsBegin, kCall, "f", kSep, "{}", kEnd, kCallsEnd, "\n and on \n"},
       {"\n and on", {call(0, "f", "{}")}}},
      {"a name that is none", plain, {"x\n", kCall, "no name", kSep, "{}", kEnd, "y"},
       {"x\n<｜tool▁call▁begin｜>no name<｜tool▁sep｜>{}<｜tool▁call▁end｜>y", {}}},
      {"a fence that is none", fenced, {kCall, "function", kSep, "f\nhere: {}", kEnd},
       {"<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\nhere: {}<｜tool▁call▁end｜>", {}}},
      {"arguments that are no object", plain, {kCall, "f", kSep, "[1]", kEnd},
       {"<｜tool▁call▁begin｜>f<｜tool▁sep｜>[1]<｜tool▁call▁end｜>", {}}},
      {"Hermes that is no JSON", hermes, {kCall, "{name: f}", kEnd}, {"<tool_call>{name: f}</tool_call>", {}}},
      {"a call cut in its head", plain, {"x", kCallsBegin, kCall, "get_d"}, {"x<｜tool▁call▁begin｜>get_d", {}}},
      {"a call cut in its arguments", plain, {kCall, "f", kSep, "{\"a\": \"b"}, {"", {call(0, "f", "{\"a\": \"b")}}},
      {"arguments that go wrong stay as they are", fenced,
       {kCall, "function", kSep, "f\n```json\n{\"a\": oh}\n```", kEnd, "x"}, {"x", {call(0, "f", "{\"a\": oh}")}}},
      {"blanks behind the end of a fence around arguments that go wrong", fenced,
       {kCall, "function", kSep, "f\n```json\n{oh\n```" + std::string(20'000, '\n'), kEnd}, {"", {call(0, "f", "{oh")}}},
      {"an end of a fence that is none stays, with its blanks", fenced,
       {kCall, "function", kSep, "f\n```json\n{oh\n``` \n \n```x", kEnd}, {"", {call(0, "f", "{oh\n``` \n \n```x")}}},
      {"a mark inside of arguments is text there", plain, {kCall, "f", kSep, "{\"a\":\"", kSep, "\"}", kEnd},
       {"", {call(0, "f", "{\"a\":\"<｜tool▁sep｜>\"}")}}},
      {"a mark out of place", plain, {"a", kEnd, "b"}, {"a<｜tool▁call▁end｜>b", {}}},
  };
}

TEST(ToolParser, ReadsEverySyntaxAndLosesNothingOfWhatItCannotRead) {
  for (const Case& one : cases()) {
    const Joined got = parse(one.syntax, one.items);
    EXPECT_EQ(got.content, one.wanted.content) << one.about;
    EXPECT_EQ(got.calls, one.wanted.calls) << one.about;
  }
}

TEST(ToolParser, AnyChunkingGivesTheSame) {
  Rng rng(11);
  for (const Case& one : cases()) {
    for (int round = 0; round < 50; ++round) {
      ASSERT_EQ(parse(one.syntax, cut(one.items, rng)), one.wanted) << one.about;
    }
  }
}

TEST(ToolParser, RandomTextAndMarksAreNeverLostAndNeverDependOnTheChunking) {
  const std::vector<std::string> words = {"f", "{\"a\":", "1}", "\n", "```json\n", "```", "function", "月", " ", "\"", "{}", "x y"};
  Rng rng(3);
  for (int round = 0; round < 2'000; ++round) {
    Items items;
    for (std::uint64_t n = rng.below(12); n > 0; --n) {
      if (rng.below(2) == 0) {
        items.emplace_back(static_cast<ToolMark>(rng.below(5)));
      } else {
        items.emplace_back(words[rng.below(words.size())]);
      }
    }
    for (const ToolSyntax syntax : {ToolSyntax::kDeepSeekFenced, ToolSyntax::kDeepSeekPlain, ToolSyntax::kHermes}) {
      const Joined whole = parse(syntax, items);
      ASSERT_EQ(parse(syntax, cut(items, rng)), whole);
      for (std::size_t i = 0; i < whole.calls.size(); ++i) {
        EXPECT_EQ(whole.calls[i].index, static_cast<std::int32_t>(i));
        EXPECT_FALSE(whole.calls[i].name.empty());
        EXPECT_EQ(whole.calls[i].arguments.front(), '{');
      }
      if (!whole.calls.empty()) continue;
      // Without a call every character of text is still there.
      std::string text;
      for (const Item& item : items) {
        if (const auto* word = std::get_if<std::string>(&item)) text += *word;
      }
      std::string kept = whole.content;
      for (const char* mark : {"<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>", "<tool_call>", "</tool_call>"}) {
        for (std::size_t at = kept.find(mark); at != std::string::npos; at = kept.find(mark)) {
          kept.erase(at, std::string_view(mark).size());
        }
      }
      EXPECT_EQ(kept, text);
    }
  }
}

TEST(ToolParser, ACallIsToldWithTheFirstByteOfItsArguments) {
  ToolParser parser = parser_of(ToolSyntax::kDeepSeekPlain);
  (void)parser.on_mark(kCall);
  EXPECT_TRUE(parser.on_text("get_date").calls.empty());
  EXPECT_TRUE(parser.on_mark(kSep).calls.empty());
  const auto first = parser.on_text("{\"a\"");
  ASSERT_EQ(first.calls.size(), 1U);
  EXPECT_EQ(first.calls[0], call(0, "get_date", "{\"a\""));
  const auto next = parser.on_text(":1");
  ASSERT_EQ(next.calls.size(), 1U);
  EXPECT_EQ(next.calls[0], (ToolCallDelta{0, "", "", ":1"}));
}

TEST(ToolParser, OneCallAtATimeEndsTheAnswerAtTheSecond) {
  ToolParser parser = parser_of(ToolSyntax::kDeepSeekPlain, false);
  for (const Item& item : Items{kCallsBegin, kCall, "f", kSep, "{}", kEnd}) {
    const auto* mark = std::get_if<ToolMark>(&item);
    if (mark != nullptr) {
      (void)parser.on_mark(*mark);
    } else {
      (void)parser.on_text(std::get<std::string>(item));
    }
    EXPECT_FALSE(parser.is_over());
  }
  EXPECT_TRUE(parser.on_mark(kCall).calls.empty());
  EXPECT_TRUE(parser.is_over());
  EXPECT_EQ(parser.on_text("g").content, "");
  EXPECT_EQ(parser.finish().content, "");
  EXPECT_EQ(parser.calls(), 1);
}

TEST(AnswerStreamCalls, CallsStandBehindTheirContentAndStopStringsSeeContentOnly) {
  AnswerStream answer({"END"}, AnswerStream::Start::kReasoning, parser_of(ToolSyntax::kDeepSeekPlain));
  (void)answer.on_token("plan");
  EXPECT_TRUE(answer.on_mark(kCall).calls.empty()) << "thinking about a call makes none";
  (void)answer.on_think_end();
  std::string content = answer.on_token("\n\nWait.").content;
  ToolCallDeltas calls;
  const auto add = [&](AnswerStream::Text text) {
    content += text.content;
    append_calls(calls, std::move(text.calls));
  };
  for (const ToolMark mark : {kCallsBegin, kCall}) add(answer.on_mark(mark));
  add(answer.on_token("f"));
  add(answer.on_mark(kSep));
  add(answer.on_token("{\"a\":\"END\"}"));
  add(answer.on_mark(kEnd));
  add(answer.finish());
  EXPECT_FALSE(answer.stopped());
  EXPECT_TRUE(answer.has_calls());
  EXPECT_EQ(content, "Wait.");
  EXPECT_EQ(calls, (ToolCallDeltas{call(0, "f", "{\"a\":\"END\"}")}));
}

TEST(AnswerStreamCalls, AStopStringBeforeACallEndsTheAnswerWithoutIt) {
  AnswerStream answer({"END"}, AnswerStream::Start::kContent, parser_of(ToolSyntax::kDeepSeekPlain));
  EXPECT_EQ(answer.on_token("a END").content, "a ");
  EXPECT_TRUE(answer.stopped());
}

TEST(AnswerStreamCalls, AModelThatThinksAfterAllIsHeardSo) {
  AnswerStream answer({}, AnswerStream::Start::kContent);
  answer.on_think();
  EXPECT_EQ(answer.on_token("hm").reasoning, "hm");
  (void)answer.on_think_end();
  EXPECT_EQ(answer.on_token("\n\nx").content, "x");
  answer.on_think();
  EXPECT_EQ(answer.on_token("y").content, "y") << "too late";
}

}  // namespace
}  // namespace tidegate::worker::tool_parser_test
