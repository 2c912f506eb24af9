// Several answers to one prompt, and log probabilities, through the whole edge.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>

#include "base/json/json.h"
#include "base/net/sse.h"
#include "tests/unit/gateway/http/api_harness.h"
#include "tests/unit/gateway/http/stream_client.h"

namespace tidegate::gateway::test {
namespace choices_api_test {
namespace {

SequenceDelta said(std::int32_t choice, std::string content, std::int64_t completion) {
  SequenceDelta delta = text_delta("", std::move(content), {.prompt = 10, .completion = completion});
  delta.choice = choice;
  return delta;
}
SequenceDelta ended(std::int32_t choice, std::string content, std::int64_t completion, SequenceEnd end, bool is_last) {
  SequenceDelta delta = said(choice, std::move(content), completion);
  delta.choice_end = end;
  if (is_last) delta.end = end;
  return delta;
}

/// What a client has understood of each choice.
struct HeardChoice {
  std::string role, text, finish_reason;
  int ends = 0;
};
std::map<std::int64_t, HeardChoice> heard(const std::string& stream, const char* member) {
  std::map<std::int64_t, HeardChoice> choices;
  sse::Parser parser([&](const sse::Parser::Event& event) {
    if (event.data == "[DONE]") return;
    const json::object chunk = parsed(event.data);
    for (const json::value& one : chunk.at("choices").as_array()) {
      const json::object& choice = one.as_object();
      HeardChoice& into = choices[choice.at("index").as_int64()];
      const json::object& from = choice.contains("delta") ? choice.at("delta").as_object() : choice;
      if (from.contains("role")) into.role = from.at("role").as_string();
      if (from.contains(member)) into.text += std::string_view(from.at(member).as_string());
      if (choice.at("finish_reason").is_null()) continue;
      into.finish_reason = choice.at("finish_reason").as_string();
      ++into.ends;
    }
  });
  EXPECT_TRUE(parser.feed(stream));
  return choices;
}

TEST(ChoicesApi, AWholeAnswerHasAllOfThemInOrderAndOneBill) {
  ApiHarness api;
  auto answer = api.post_chat(chat_body(false, R"(,"n":2,"max_tokens":50)"));
  const auto request = api.submitted();
  EXPECT_EQ(request.plan.sampling.n, 2);
  EXPECT_EQ(request.max_tokens, 50) << "of each";
  api.dispatch();
  api.tell(0, accepted_delta(10));
  api.tell(0, said(1, "x", 1));
  api.tell(0, said(0, "a", 2));
  api.tell(0, ended(0, "b", 3, SequenceEnd::kStop, false));
  api.tell(0, ended(1, "y", 4, SequenceEnd::kLength, true));
  const auto response = answer.get();
  ASSERT_EQ(response.status, 200) << response.body;
  const json::object root = parsed(response.body);
  const json::array& choices = root.at("choices").as_array();
  ASSERT_EQ(choices.size(), 2U);
  EXPECT_EQ(choices[0].at("index"), 0);
  EXPECT_EQ(choices[0].at("message").at("content"), "ab");
  EXPECT_EQ(choices[0].at("finish_reason"), "stop");
  EXPECT_EQ(choices[1].at("index"), 1);
  EXPECT_EQ(choices[1].at("message").at("content"), "xy");
  EXPECT_EQ(choices[1].at("finish_reason"), "length");
  EXPECT_EQ(root.at("usage").at("prompt_tokens"), 10) << "counted once";
  EXPECT_EQ(root.at("usage").at("completion_tokens"), 4);
  const auto entry = api.meter.entry(0);
  EXPECT_EQ(entry.request.completion_tokens_max, 100) << "the hold covers both";
  EXPECT_EQ(entry.settled.at(0).usage.completion, 4);
}

TEST(ChoicesApi, AStreamNamesTheChoiceOfEveryChunkAndEndsEachOnce) {
  ApiHarness api;
  StreamClient client(api, chat_body(true, R"(,"n":3)"));
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  api.tell(0, said(1, "x", 1));
  ASSERT_TRUE(eventually([&] { return client.saw("\"x\""); }));
  api.tell(0, said(0, "a", 2));
  api.tell(0, ended(1, "y", 3, SequenceEnd::kStop, false));
  ASSERT_TRUE(eventually([&] { return client.saw("\"finish_reason\":\"stop\""); })) << "while the others go on";
  api.tell(0, ended(2, "", 4, SequenceEnd::kStop, false));
  api.tell(0, ended(0, "b", 5, SequenceEnd::kLength, true));
  ASSERT_TRUE(client.wait());
  const auto choices = heard(client.text(), "content");
  ASSERT_EQ(choices.size(), 3U);
  for (const auto& [index, choice] : choices) {
    EXPECT_EQ(choice.role, "assistant") << index;
    EXPECT_EQ(choice.ends, 1) << index;
  }
  EXPECT_EQ(choices.at(0).text, "ab");
  EXPECT_EQ(choices.at(0).finish_reason, "length");
  EXPECT_EQ(choices.at(1).text, "xy");
  EXPECT_EQ(choices.at(2).text, "") << "one that said nothing is told, too";
  EXPECT_TRUE(client.text().ends_with("data: [DONE]\n\n"));
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage.completion, 5);
}

TEST(ChoicesApi, CompletionsDoTheSameEachBehindItsPrompt) {
  ApiHarness api;
  StreamClient client(api, R"({"model":"tang-moe","prompt":"P","echo":true,"n":2,"stream":true})", "/v1/completions");
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  api.tell(0, said(1, "x", 1));
  api.tell(0, ended(0, "a", 2, SequenceEnd::kStop, false));
  api.tell(0, ended(1, "y", 3, SequenceEnd::kLength, true));
  ASSERT_TRUE(client.wait());
  const auto choices = heard(client.text(), "text");
  ASSERT_EQ(choices.size(), 2U);
  EXPECT_EQ(choices.at(0).text, "Pa");
  EXPECT_EQ(choices.at(1).text, "Pxy");
  EXPECT_EQ(choices.at(1).finish_reason, "length");
}

TEST(ChoicesApi, AClientThatLeavesPaysWhatAllOfThemHandedOver) {
  ApiHarness api;
  StreamClient client(api, chat_body(true, R"(,"n":2)"));
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  api.tell(0, said(0, "a", 1));
  api.tell(0, said(1, "x", 2));
  ASSERT_TRUE(eventually([&] { return client.saw("\"x\""); }));
  client.leave_at_next_byte();
  api.tell(0, said(0, "b", 3));
  (void)client.wait();
  ASSERT_TRUE(eventually([&] { return api.meter.settled_count() == 1; }));
  const FinalReport report = api.meter.entry(0).settled.at(0);
  EXPECT_EQ(report.outcome, Outcome::kCancelled);
  EXPECT_GE(report.usage.completion, 2);
  EXPECT_LE(report.usage.completion, 3);
}

TEST(ChoicesApi, AWorkerThatNamesAnAnswerNobodyAskedForIsNotBelieved) {
  for (const SequenceDelta& wrong :
       {said(2, "x", 1), said(-1, "x", 1), ended(0, "x", 1, SequenceEnd::kStop, true)}) {
    ApiHarness api;
    auto answer = api.post_chat(chat_body(false, R"(,"n":2)"));
    const auto request = api.submitted();
    api.dispatch();
    api.tell(0, accepted_delta(10));
    api.tell(0, wrong);
    EXPECT_EQ(answer.get().status, 500);
    EXPECT_TRUE(api.dispatcher.has_left(request.ticket)) << "it is told to stop";
    EXPECT_EQ(api.meter.entry(0).settled.at(0).usage.total(), 0);
  }
}

TEST(ChoicesApi, LogProbabilitiesStandBesideTheTextOfTheirTokens) {
  ApiHarness api;
  auto answer = api.post_chat(chat_body(false, R"(,"logprobs":true,"top_logprobs":1)"));
  EXPECT_EQ(api.submitted().plan.sampling.logprobs, 1);
  api.dispatch();
  api.tell(0, accepted_delta(10));
  SequenceDelta half = text_delta("", "", {.prompt = 10, .completion = 1});
  half.logprobs = {{.bytes = "\xe6", .logprob = -0.25, .top = {{"\xe6", -0.25}}}};
  api.tell(0, half);
  SequenceDelta whole = end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 3}, "\xe6\x9c\x88");
  whole.logprobs = {{.bytes = "\x9c\x88", .logprob = -0.5, .top = {{"\x9c\x88", -0.5}}}};
  api.tell(0, whole);
  const auto response = answer.get();
  ASSERT_EQ(response.status, 200) << response.body;
  const json::object root = parsed(response.body);
  const json::object& choice = root.at("choices").at(0).as_object();
  const json::array& tokens = choice.at("logprobs").at("content").as_array();
  ASSERT_EQ(tokens.size(), 2U);
  std::string bytes;
  for (const json::value& token : tokens) {
    for (const json::value& byte : token.at("bytes").as_array()) bytes += static_cast<char>(byte.as_int64());
  }
  EXPECT_EQ(bytes, std::string_view(choice.at("message").at("content").as_string())) << "joined they are the text";
}

TEST(ChoicesApi, AStreamHoldsBackTheLogProbabilitiesOfTextThatIsYetToCome) {
  ApiHarness api;
  StreamClient client(api, chat_body(true, R"(,"logprobs":true)"));
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  SequenceDelta half = text_delta("", "", {.prompt = 10, .completion = 1});
  half.logprobs = {{.bytes = "\xe6", .logprob = -0.25}};
  api.tell(0, half);
  SequenceDelta rest = text_delta("", "\xe6\x9c\x88", {.prompt = 10, .completion = 2});
  rest.logprobs = {{.bytes = "\x9c\x88", .logprob = -0.5}};
  api.tell(0, rest);
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 3}));
  ASSERT_TRUE(client.wait());
  int chunks = 0;
  sse::Parser parser([&](const sse::Parser::Event& event) {
    if (event.data == "[DONE]") return;
    const json::object chunk = parsed(event.data);
    const json::object& choice = chunk.at("choices").at(0).as_object();
    if (choice.at("logprobs").is_null()) return;
    ++chunks;
    EXPECT_EQ(choice.at("delta").at("content"), "\xe6\x9c\x88");
    EXPECT_EQ(choice.at("logprobs").at("content").as_array().size(), 2U);
  });
  ASSERT_TRUE(parser.feed(client.text()));
  EXPECT_EQ(chunks, 1);
}

TEST(ChoicesApi, MoreLogProbabilitiesThanOneRequestMayHaveAreRefusedBeforeMoney) {
  ApiHarness api;
  const auto refused =
      api.fetch("POST", "/v1/chat/completions",
                chat_body(false, R"(,"n":16,"logprobs":true,"top_logprobs":20,"max_tokens":4096)"));
  EXPECT_EQ(refused.status, 400) << refused.body;
  EXPECT_EQ(parsed(refused.body).at("error").at("param"), "logprobs");
  EXPECT_NE(refused.body.find("524288"), std::string::npos) << "the limit is named";
  EXPECT_TRUE(api.meter.entries().empty());
}

}  // namespace
}  // namespace choices_api_test
}  // namespace tidegate::gateway::test
