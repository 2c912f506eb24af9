#include "gateway/http/responses_answer.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/support/sequential_ids.h"
#include "tests/unit/gateway/http/golden_end.h"
#include "tests/unit/gateway/http/stream_client.h"

namespace tidegate::gateway::responses_answer_test {
namespace {

using test::end_with;
using test::named_events_of;
using test::NamedEvent;
using test::names_of;

const std::string kRequest = "01956a3e-7c00-7000-8000-000000000001";

AnswerHead head() {
  AnswerHead h;
  h.request = RequestId{tidegate::test::SequentialIds::make(1)};
  h.model = "deepseek-v4-pro";
  h.variant = "fp8";
  h.created = wall_from_unix_micros(1'795'300'000'000'000);
  return h;
}

PlanSampling sampling() {
  PlanSampling s;
  s.temperature = 0.7;
  s.max_tokens = 64;
  return s;
}

std::string event(const std::string& name, int number, const std::string& rest) {
  return "event: " + name + "\ndata: {\"type\":\"" + name + "\",\"sequence_number\":" + std::to_string(number) + rest +
         "}\n\n";
}

/// The response object up to its end.
std::string response(const std::string& status, const std::string& output, const std::string& usage) {
  return R"({"id":"resp_)" + kRequest + R"(","object":"response","created_at":1795300000,"status":")" + status +
         R"(","background":false,"error":null,"incomplete_details":null,"instructions":null,"metadata":{},)"
         R"("max_output_tokens":64,"model":"deepseek-v4-pro","variant":"fp8","output":[)" +
         output +
         R"(],"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},)"
         R"("store":false,"temperature":0.7,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],)"
         R"("top_p":null,"truncation":"disabled","usage":)" +
         usage + "}";
}

TEST(ResponsesAnswer, StreamIsThisSequenceOfEvents) {
  ResponsesDialect dialect(sampling());
  std::string out;
  dialect.append_text(out, head(), "hm", "");
  dialect.append_text(out, head(), "", "Hi");
  dialect.append_end(out, head(), end_with("stop"));
  const std::string thought = R"("rs_)" + kRequest + R"(_0")";
  const std::string message = R"("msg_)" + kRequest + R"(_1")";
  const std::string thought_place = R"(,"item_id":)" + thought + R"(,"output_index":0,"content_index":0)";
  const std::string message_place = R"(,"item_id":)" + message + R"(,"output_index":1,"content_index":0)";
  const std::string thought_start = R"({"id":)" + thought + R"(,"type":"reasoning","summary":[],"status":)";
  const std::string message_start = R"({"id":)" + message + R"(,"type":"message","role":"assistant","status":)";
  const std::string thought_part = R"({"type":"reasoning_text","text":"hm"})";
  const std::string message_part = R"({"type":"output_text","annotations":[],"logprobs":[],"text":"Hi"})";
  const std::string thought_done = thought_start + R"("completed","content":[)" + thought_part + "]}";
  const std::string message_done = message_start + R"("completed","content":[)" + message_part + "]}";
  const std::string usage =
      R"({"input_tokens":1861,"input_tokens_details":{"cached_tokens":1856},"output_tokens":24,)"
      R"("output_tokens_details":{"reasoning_tokens":6},"total_tokens":1885,"cost":0.000091652,)"
      R"("cost_details":{"amount":"0.000091652","currency":"USD","band":"off-peak","price_version":"2026-08-17/1"}})";
  const std::string golden =
      event("response.created", 0, R"(,"response":)" + response("in_progress", "", "null")) +
      event("response.in_progress", 1, R"(,"response":)" + response("in_progress", "", "null")) +
      event("response.output_item.added", 2,
            R"(,"output_index":0,"item":)" + thought_start + R"("in_progress","content":[]})") +
      event("response.content_part.added", 3, thought_place + R"(,"part":{"type":"reasoning_text","text":""})") +
      event("response.reasoning_text.delta", 4, thought_place + R"(,"delta":"hm")") +
      event("response.reasoning_text.done", 5, thought_place + R"(,"text":"hm")") +
      event("response.content_part.done", 6, thought_place + R"(,"part":)" + thought_part) +
      event("response.output_item.done", 7, R"(,"output_index":0,"item":)" + thought_done) +
      event("response.output_item.added", 8,
            R"(,"output_index":1,"item":)" + message_start + R"("in_progress","content":[]})") +
      event("response.content_part.added", 9,
            message_place + R"(,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""})") +
      event("response.output_text.delta", 10, message_place + R"(,"logprobs":[],"delta":"Hi")") +
      event("response.output_text.done", 11, message_place + R"(,"logprobs":[],"text":"Hi")") +
      event("response.content_part.done", 12, message_place + R"(,"part":)" + message_part) +
      event("response.output_item.done", 13, R"(,"output_index":1,"item":)" + message_done) +
      event("response.completed", 14,
            R"(,"response":)" + response("completed", thought_done + "," + message_done, usage));
  EXPECT_EQ(out, golden);
}

TEST(ResponsesAnswer, DeltasOfOneItemAreJoinedInItsDoneEvents) {
  ResponsesDialect dialect(sampling());
  std::string out;
  for (const char* piece : {"é", "中", "\U0001f30a", "\"\n"}) dialect.append_text(out, head(), "", piece);
  dialect.append_end(out, head(), end_with("stop"));
  const auto events = named_events_of(out);
  std::string deltas;
  for (const NamedEvent& one : events) {
    if (one.name == "response.output_text.delta") deltas += std::string_view(one.data.at("delta").as_string());
    if (one.name == "response.output_text.done") {
      EXPECT_EQ(one.data.at("text"), "é中\U0001f30a\"\n");
    }
  }
  EXPECT_EQ(deltas, "é中\U0001f30a\"\n");
  const json::value& last = events.back().data;
  EXPECT_EQ(last.at("response").at("output").at(0).at("content").at(0).at("text"), "é中\U0001f30a\"\n");
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].data.at("sequence_number").as_int64(), static_cast<std::int64_t>(i));
  }
}

TEST(ResponsesAnswer, AnAnswerThatRanOutOfTokensIsIncomplete) {
  ResponsesDialect dialect(sampling());
  std::string out;
  dialect.append_text(out, head(), "hm", "");
  dialect.append_end(out, head(), end_with("length"));
  const auto events = named_events_of(out);
  const json::value& last = events.back().data;
  EXPECT_EQ(events.back().name, "response.incomplete");
  EXPECT_EQ(last.at("response").at("status"), "incomplete");
  EXPECT_EQ(last.at("response").at("incomplete_details").at("reason"), "max_output_tokens");
  EXPECT_EQ(last.at("response").at("output").at(0).at("status"), "incomplete");
  EXPECT_EQ(events.at(events.size() - 2).data.at("item").at("status"), "incomplete");
}

TEST(ResponsesAnswer, AnAnswerWithoutTextHasNoItems) {
  ResponsesDialect dialect(sampling());
  std::string out;
  dialect.append_text(out, head(), "", "");
  dialect.append_end(out, head(), end_with("stop"));
  const auto events = named_events_of(out);
  EXPECT_EQ(names_of(events), "response.created response.in_progress response.completed");
  EXPECT_TRUE(events.back().data.at("response").at("output").as_array().empty());
}

TEST(ResponsesAnswer, AKeepAliveOpensTheAnswerThenComments) {
  ResponsesDialect dialect(PlanSampling{});
  AnswerHead waiting = head();
  waiting.variant.clear();
  std::string out;
  dialect.append_keep_alive(out, waiting);
  const auto events = named_events_of(out);
  EXPECT_EQ(names_of(events), "response.created response.in_progress");
  EXPECT_TRUE(events[0].data.at("response").at("variant").is_null()) << "nobody serves it yet";
  EXPECT_TRUE(events[0].data.at("response").at("max_output_tokens").is_null());
  EXPECT_TRUE(events[0].data.at("response").at("temperature").is_null());
  out.clear();
  dialect.append_keep_alive(out, waiting);
  EXPECT_EQ(out, ": keep-alive\n\n");
}

TEST(ResponsesAnswer, ACutIsAFailedResponseAndAnErrorEvent) {
  ResponsesDialect dialect(sampling());
  std::string out;
  dialect.append_text(out, head(), "", "Hi");
  out.clear();
  dialect.append_cut(out, head(), to_api_error(Error(Code::kUnavailable, "worker_lost", "Send it again.")));
  const auto events = named_events_of(out);
  ASSERT_EQ(names_of(events), "response.failed error");
  const json::value& failed = events[0].data.at("response");
  EXPECT_EQ(failed.at("status"), "failed");
  EXPECT_EQ(failed.at("error").at("code"), "worker_lost");
  EXPECT_EQ(failed.at("error").at("message"), "Send it again.");
  EXPECT_EQ(failed.at("output").at(0).at("content").at(0).at("text"), "Hi") << "what was delivered";
  EXPECT_EQ(failed.at("output").at(0).at("status"), "incomplete");
  EXPECT_TRUE(failed.at("usage").is_null());
  EXPECT_EQ(events[1].data.at("code"), "worker_lost");
  EXPECT_TRUE(events[1].data.at("param").is_null());
  EXPECT_EQ(events[1].data.at("error").at("type"), "server_error") << "openai-node raises on this member only";
  EXPECT_EQ(events[1].data.at("error").at("code"), "worker_lost");
}

TEST(ResponsesAnswer, TheReceiptStandsBesideTheUsage) {
  ResponsesDialect dialect(sampling());
  AnswerEnd end = end_with("stop");
  end.settlement.receipt = "\xfb\xff";
  std::string out;
  dialect.append_text(out, head(), "", "x");
  dialect.append_end(out, head(), end);
  EXPECT_EQ(named_events_of(out).back().data.at("response").at("receipt"), "-_8");
  ResponsesDialect whole(sampling());
  const auto body = json::parse(whole.body(head(), "", "x", end));
  ASSERT_TRUE(body);
  EXPECT_EQ(body->at("receipt"), "-_8") << "its header may have left before it was known";
}

TEST(ResponsesAnswer, BodyIsTheResponseOfTheLastEvent) {
  ResponsesDialect streamed(sampling());
  std::string out;
  streamed.append_text(out, head(), "hm", "");
  streamed.append_text(out, head(), "", "Hi");
  streamed.append_end(out, head(), end_with("stop"));
  ResponsesDialect whole(sampling());
  const auto events = named_events_of(out);
  const auto body = json::parse(whole.body(head(), "hm", "Hi", end_with("stop")));
  ASSERT_TRUE(body) << body.error().to_string();
  EXPECT_EQ(*body, events.back().data.at("response"));
}

TEST(ResponsesAnswer, AnErrorOfTheEngineNamesThisDialectsFields) {
  const std::pair<const char*, const char*> cases[] = {
      {"messages", "input"}, {"max_tokens", "max_output_tokens"}, {"temperature", "temperature"}};
  for (const auto& [plan, own] : cases) {
    const auto parsed = json::parse(responses_error_body(
        to_api_error(Error(Code::kInvalidArgument, "context_length_exceeded", "Too long.", plan)), head().request));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(std::string_view(parsed->at("error").at("param").as_string()), own);
  }
}

}  // namespace
}  // namespace tidegate::gateway::responses_answer_test
