#include "worker/engine/requested_grammar.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/json/json.h"
#include "tests/unit/worker/engine/engine_harness.h"
#include "worker/engine/grammar/matcher.h"

namespace tidegate::worker::requested_grammar_test {
namespace {

constexpr const char* kNumber =
    R"({"type":"object","properties":{"n":{"enum":[1]}},"required":["n"],"additionalProperties":false})";

GenerateRequest asking(ToolChoice::Mode mode, std::string name = "") {
  GenerateRequest request = user_request(1, "hello");
  request.offer.tools = {{"now", "", "", false}, {"pick", "Picks.", kNumber, false}};
  request.offer.choice = {mode, std::move(name)};
  return request;
}

GenerateRequest formatted(std::string schema) {
  GenerateRequest request = user_request(1, "hello");
  request.offer.format = {ResponseFormat::Kind::kJsonSchema, std::move(schema), true};
  return request;
}

/// byte_model() with tokens for calls, in a family that does not think.
ServedModel calling_model() {
  TokenizerFile file;
  for (int byte = 0; byte < 256; ++byte) {
    file.vocab.emplace_back(std::string(1, static_cast<char>(byte)), FakeBackend::kFirstByte + byte);
  }
  file.added = {{FakeBackend::kBegin, "<｜begin▁of▁sentence｜>", true},
                {FakeBackend::kEnd, "<｜end▁of▁sentence｜>", true},
                {FakeBackend::kThink, "<think>", false},
                {FakeBackend::kThinkEnd, "</think>", false},
                {FakeBackend::kUser, "<｜User｜>", false},
                {FakeBackend::kAssistant, "<｜Assistant｜>", false}};
  TokenId next = FakeBackend::kFirstPaddingId;
  for (const char* text : {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>",
                           "<｜tool▁call▁end｜>", "<｜tool▁sep｜>", "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>",
                           "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"}) {
    file.added.push_back({next++, text, false});
  }
  auto built = Tokenizer::build(file);
  EXPECT_TRUE(built) << built.error().to_string();
  auto tokenizer = std::make_unique<const Tokenizer>(*std::move(built));
  auto chat = ChatTemplate::build(ChatFamily::kDeepSeekV3, *tokenizer);
  EXPECT_TRUE(chat) << chat.error().to_string();
  return {.tokenizer = std::move(tokenizer),
          .chat = *chat,
          .end_tokens = {FakeBackend::kEnd},
          .defaults = {.temperature = 0, .top_p = 1}};
}

TEST(RequestedGrammar, WhatIsLeftToTheModelHasNone) {
  for (const GenerateRequest& request :
       {user_request(1, "x"), asking(ToolChoice::Mode::kAuto), asking(ToolChoice::Mode::kNone)}) {
    const auto none = constraint_of(request.offer, ToolSyntax::kDeepSeekPlain);
    ASSERT_TRUE(none);
    EXPECT_EQ(*none, nullptr);
  }
}

TEST(RequestedGrammar, AForcedCallIsOneInTheModelsOwnMarks) {
  using grammar::TokenKind;
  const auto one = constraint_of(asking(ToolChoice::Mode::kFunction, "pick").offer, ToolSyntax::kHermes);
  ASSERT_TRUE(one) << one.error().to_string();
  grammar::Matcher matcher(*one);
  EXPECT_FALSE(matcher.accept("Well, "));
  EXPECT_TRUE(matcher.accept("<tool_call>", TokenKind::kControl));
  EXPECT_FALSE(matcher.accept("\n{\"name\": \"now")) << "another tool";
  EXPECT_TRUE(matcher.accept("\n{\"name\": \"pick\", \"arguments\": {\"n\": 1}}\n"));
  EXPECT_FALSE(matcher.can_end());
  EXPECT_TRUE(matcher.accept("</tool_call>", TokenKind::kControl));
  EXPECT_TRUE(matcher.can_end());
  EXPECT_FALSE(matcher.accept("\n")) << "one function is one call";

  const auto any = constraint_of(asking(ToolChoice::Mode::kRequired).offer, ToolSyntax::kDeepSeekPlain);
  ASSERT_TRUE(any) << any.error().to_string();
  grammar::Matcher calls(*any);
  EXPECT_TRUE(calls.accept("<｜tool▁calls▁begin｜>", TokenKind::kControl));
  EXPECT_TRUE(calls.accept("<｜tool▁call▁begin｜>", TokenKind::kControl));
  EXPECT_TRUE(calls.accept("now"));
}

/// What the model may do, in DeepSeek's fenced form: whether the text, then a call of `pick` with these arguments, is taken.
bool may_pick(const std::shared_ptr<const grammar::Grammar>& rules, std::string_view arguments) {
  using grammar::TokenKind;
  grammar::Matcher matcher(rules);
  const auto mark = [&](std::string_view text) { return matcher.accept(text, TokenKind::kControl); };
  return matcher.accept("Let me see: <tool> {\"\n") && matcher.can_end() && mark("<｜tool▁calls▁begin｜>") &&
         mark("<｜tool▁call▁begin｜>") && matcher.accept("function") && mark("<｜tool▁sep｜>") &&
         matcher.accept("pick\n```json\n") && matcher.accept(arguments) && matcher.accept("\n```") &&
         mark("<｜tool▁call▁end｜>") && mark("<｜tool▁calls▁end｜>") && matcher.can_end();
}

TEST(RequestedGrammar, OfAStrictToolTheArgumentsFollowAndTheChoiceStaysFree) {
  GenerateRequest request = asking(ToolChoice::Mode::kAuto);
  request.offer.tools[1].strict = true;
  const auto free = constraint_of(request.offer, ToolSyntax::kDeepSeekFenced);
  ASSERT_TRUE(free && *free) << free.error().to_string();
  EXPECT_TRUE(may_pick(*free, R"({"n": 1})"));
  EXPECT_FALSE(may_pick(*free, R"({"n": 2})"));
  EXPECT_FALSE(may_pick(*free, "{}"));

  grammar::Matcher hermes(constraint_of(request.offer, ToolSyntax::kHermes).value());
  EXPECT_TRUE(hermes.accept("Well.\n"));
  EXPECT_TRUE(hermes.accept("<tool_call>", grammar::TokenKind::kControl));
  EXPECT_TRUE(hermes.accept("\n{\"name\": \"now\", \"arguments\": {\"any\": [1]}}\n")) << "not strict: an object";
  EXPECT_TRUE(hermes.accept("</tool_call>", grammar::TokenKind::kControl));
  EXPECT_TRUE(hermes.can_end());

  EXPECT_EQ(constraint_of(request.offer, ToolSyntax::kNone).value(), nullptr) << "it has no way to call";
  request.offer.choice.mode = ToolChoice::Mode::kNone;
  EXPECT_EQ(constraint_of(request.offer, ToolSyntax::kDeepSeekFenced).value(), nullptr);
}

TEST(RequestedGrammar, AStrictToolThatCannotBeKeptIsRefusedOnlyWhereItIsForced) {
  GenerateRequest request = asking(ToolChoice::Mode::kAuto);
  request.offer.tools[1].strict = true;
  request.offer.tools.push_back({"odd", "", R"({"properties":{"x":{"not":{}}}})", true});
  const auto free = constraint_of(request.offer, ToolSyntax::kDeepSeekFenced);
  ASSERT_TRUE(free && *free) << free.error().to_string();
  EXPECT_TRUE(may_pick(*free, R"({"n": 1})"));
  EXPECT_FALSE(may_pick(*free, "{}")) << "the others are kept";
  request.offer.choice.mode = ToolChoice::Mode::kRequired;
  EXPECT_FALSE(constraint_of(request.offer, ToolSyntax::kDeepSeekFenced));
}

TEST(RequestedGrammar, AFormatGoesBeforeAFreeChoiceOfStrictTools) {
  GenerateRequest request = asking(ToolChoice::Mode::kAuto);
  request.offer.tools[1].strict = true;
  request.offer.format = {ResponseFormat::Kind::kJsonSchema, kNumber, true};
  const auto format = constraint_of(request.offer, ToolSyntax::kDeepSeekFenced);
  ASSERT_TRUE(format && *format);
  grammar::Matcher matcher(*format);
  EXPECT_FALSE(matcher.accept("Let"));
  EXPECT_TRUE(matcher.accept(R"({"n": 1})"));
}

TEST(RequestedGrammar, WhatCannotBeKeptIsRefusedByFieldPlaceAndKeyword) {
  const auto format = constraint_of(formatted(R"({"properties":{"x":{"not":{}}}})").offer, ToolSyntax::kNone);
  ASSERT_FALSE(format);
  EXPECT_EQ(format.error().code, Code::kInvalidArgument);
  EXPECT_EQ(format.error().reason, "unsupported_response_format");
  EXPECT_EQ(format.error().field, "response_format");
  EXPECT_NE(format.error().message.find("/properties/x/not"), std::string::npos) << format.error().message;

  GenerateRequest request = asking(ToolChoice::Mode::kRequired);
  request.offer.tools[1].parameters = R"({"properties":{"x":{"not":{}}}})";
  const auto tools = constraint_of(request.offer, ToolSyntax::kHermes);
  ASSERT_FALSE(tools);
  EXPECT_EQ(tools.error().field, "tools");
  EXPECT_NE(tools.error().message.find("tools[1].parameters"), std::string::npos) << tools.error().message;

  const auto nothing = constraint_of(asking(ToolChoice::Mode::kRequired).offer, ToolSyntax::kNone);
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().field, "tool_choice");
}

TEST(RequestedGrammar, EqualFormsShareOne) {
  RequestedGrammars grammars;
  const auto first = grammars.find(formatted(kNumber).offer, ToolSyntax::kNone);
  ASSERT_TRUE(first);
  EXPECT_EQ(*grammars.find(formatted(kNumber).offer, ToolSyntax::kNone), *first);
  EXPECT_NE(*grammars.find(formatted("{}").offer, ToolSyntax::kNone), *first);
  const auto calls = grammars.find(asking(ToolChoice::Mode::kRequired).offer, ToolSyntax::kHermes);
  ASSERT_TRUE(calls);
  GenerateRequest alone = asking(ToolChoice::Mode::kRequired);
  alone.offer.is_parallel = false;
  EXPECT_NE(*grammars.find(alone.offer, ToolSyntax::kHermes), *calls);
  EXPECT_EQ(*grammars.find(user_request(1, "x").offer, ToolSyntax::kHermes), nullptr);
  for (std::size_t i = 0; i < RequestedGrammars::kKeptMax; ++i) {
    ASSERT_TRUE(grammars.find(formatted(R"({"const":)" + std::to_string(i) + "}").offer, ToolSyntax::kNone));
  }
  EXPECT_NE(*grammars.find(formatted(kNumber).offer, ToolSyntax::kNone), *first) << "the oldest was dropped";
}

TEST(RequestedGrammar, WhoAsksForOneFormFromManyThreadsGetsOneGrammar) {
  RequestedGrammars grammars;
  std::vector<std::shared_ptr<const grammar::Grammar>> found(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < found.size(); ++i) {
    threads.emplace_back([&grammars, &found, i] {
      for (int round = 0; round < 20; ++round) {
        // Others' forms come and go meanwhile.
        const std::string own = R"({"const":)" + std::to_string(i * 100 + static_cast<std::size_t>(round)) + "}";
        if (!grammars.find(formatted(own).offer, ToolSyntax::kNone)) return;
        const auto shared = grammars.find(formatted(kNumber).offer, ToolSyntax::kNone);
        if (!shared || (found[i] != nullptr && found[i] != *shared)) return found[i].reset();
        found[i] = *shared;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_NE(found[0], nullptr);
  for (const auto& one : found) EXPECT_EQ(one, found[0]);
}

TEST(RequestedGrammar, AFormTooLongToKeepIsCompiledEachTimeAndDropsNoOther) {
  RequestedGrammars grammars;
  const auto first = grammars.find(formatted(kNumber).offer, ToolSyntax::kNone);
  ASSERT_TRUE(first);
  GenerateRequest huge = asking(ToolChoice::Mode::kFunction, "now");  // the other tool is no part of its grammar
  huge.offer.tools[1].parameters = std::string(RequestedGrammars::kKeptBytesMax + 1, ' ');
  const auto one = grammars.find(huge.offer, ToolSyntax::kHermes);
  ASSERT_TRUE(one) << one.error().to_string();
  EXPECT_NE(*grammars.find(huge.offer, ToolSyntax::kHermes), *one);
  EXPECT_EQ(*grammars.find(formatted(kNumber).offer, ToolSyntax::kNone), *first);
}

TEST(RequestedGrammar, TheEngineCompilesBesideItsThreadWhatItWouldRefuse) {
  EngineHarness h(roomy());
  const auto made = h.engine->compile(formatted(kNumber).offer);
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_NE(*made, nullptr);
  const auto refused = h.engine->compile(formatted(R"({"not":{}})").offer);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "unsupported_response_format");
  EXPECT_EQ(refused.error().field, "response_format");
}

TEST(RequestedGrammar, TheEngineKeepsAFormatAndRefusesOneThatItCannotKeep) {
  EngineHarness h(roomy());
  ASSERT_TRUE(h.engine->submit(formatted(kNumber)));
  h.drain();
  const auto content = json::parse(h.outcomes[1].content);
  ASSERT_TRUE(content) << h.outcomes[1].content;
  EXPECT_EQ(content->at("n"), 1);
  const Status refused = h.engine->submit(formatted(R"({"not":{}})"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "unsupported_response_format");
  EXPECT_TRUE(h.engine->idle());
}

TEST(RequestedGrammar, TheEngineMakesACallThatIsDemanded) {
  test::SimClock clock;
  auto backend = std::make_unique<FakeBackend>();
  backend->mutable_facts().context_max = 4'096;
  auto created = EngineCore::create(std::move(backend), calling_model(), roomy(), 99, clock);
  ASSERT_TRUE(created) << created.error().to_string();
  EngineCore& engine = **created;
  const Status taken = engine.submit(asking(ToolChoice::Mode::kFunction, "pick"));
  ASSERT_TRUE(taken) << taken.error().to_string();
  std::string said;
  ToolCallDeltas calls;
  std::optional<FinishReason> finish;
  for (int step = 0; !engine.idle() && step < 10'000; ++step) {
    for (SequenceEvent& event : engine.step()) {
      said += event.reasoning + event.content;
      append_calls(calls, std::move(event.tool_calls));
      finish = event.finish;
    }
  }
  EXPECT_EQ(said, "");
  EXPECT_EQ(finish, FinishReason::kToolCalls);
  ASSERT_EQ(calls.size(), 1U);
  EXPECT_EQ(calls[0].name, "pick");
  const auto arguments = json::parse(calls[0].arguments);
  ASSERT_TRUE(arguments) << calls[0].arguments;
  EXPECT_EQ(arguments->at("n"), 1);
}

TEST(RequestedGrammar, TheEngineHoldsACallThatTheModelChoseToWhatIsStrict) {
  test::SimClock clock;
  auto backend = std::make_unique<FakeBackend>();
  backend->mutable_facts().context_max = 4'096;
  auto created = EngineCore::create(std::move(backend), calling_model(), roomy(), 99, clock);
  ASSERT_TRUE(created) << created.error().to_string();
  EngineCore& engine = **created;
  GenerateRequest request = asking(ToolChoice::Mode::kAuto);
  request.offer.tools.erase(request.offer.tools.begin());
  request.offer.tools[0].strict = true;
  request.offer.is_parallel = false;
  request.sampling.logit_bias = {{FakeBackend::kFirstPaddingId, 100}};  // the mark that begins calls: its choice
  ASSERT_TRUE(engine.submit(std::move(request)));
  ToolCallDeltas calls;
  std::optional<FinishReason> finish;
  for (int step = 0; !engine.idle() && step < 10'000; ++step) {
    for (SequenceEvent& event : engine.step()) {
      append_calls(calls, std::move(event.tool_calls));
      finish = event.finish;
    }
  }
  EXPECT_EQ(finish, FinishReason::kToolCalls);
  ASSERT_EQ(calls.size(), 1U);
  const auto arguments = json::parse(calls[0].arguments);
  ASSERT_TRUE(arguments) << calls[0].arguments;
  EXPECT_EQ(arguments->at("n"), 1);
}

}  // namespace
}  // namespace tidegate::worker::requested_grammar_test
