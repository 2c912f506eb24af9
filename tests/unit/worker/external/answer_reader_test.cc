#include "worker/external/answer_reader.h"

#include <gtest/gtest.h>

#include "tests/support/worker/fake_openai_server.h"

namespace tidegate::worker::external::answer_reader_test {
namespace {

using Server = test::FakeOpenAiServer;

std::string lines(const std::vector<std::string>& events) {
  std::string all;
  for (const std::string& event : events) all += "data: " + event + "\r\n\r\n";
  return all;
}

struct Reading {
  explicit Reading(AnswerReader::Kind kind = AnswerReader::Kind::kChat, AnswerReader::Limits limits = {}) : reader(kind, "suffix", limits) {}
  Status feed(std::string_view bytes) { return reader.feed(bytes, piece); }
  AnswerReader reader;
  AnswerPiece piece;
};

TEST(AnswerReader, ReadsTheSameInAnySlices) {
  const std::string stream = lines({Server::delta(R"("role":"assistant","content":null,"reasoning_content":"hm 月")"),
                                    Server::delta(R"("content":"moon")"), Server::delta(R"("content":" 潮")", "length"),
                                    Server::usage(7, 9, 3), "[DONE]"});
  for (const std::size_t slice : {std::size_t{1}, std::size_t{7}, stream.size()}) {
    Reading reading;
    for (std::size_t at = 0; at < stream.size(); at += slice) ASSERT_TRUE(reading.feed(std::string_view(stream).substr(at, slice)));
    EXPECT_EQ(reading.piece.reasoning, "hm 月");
    EXPECT_EQ(reading.piece.content, "moon 潮");
    EXPECT_EQ(reading.reader.finish(), FinishReason::kLength);
    EXPECT_TRUE(reading.reader.is_done());
    ASSERT_TRUE(reading.piece.usage);
    EXPECT_EQ(reading.piece.usage->prompt, 7);
    EXPECT_EQ(reading.piece.usage->completion, 9);
    EXPECT_EQ(reading.piece.usage->cached, 3);
  }
}

TEST(AnswerReader, CachedAndReasoningTokensHaveSeveralNames) {
  const auto usage = [](const char* text) { return read_usage(json::parse(text)->get_object()); };
  EXPECT_EQ(usage(R"({"prompt_cache_hit_tokens":4})").cached, 4);
  EXPECT_EQ(usage(R"({"prompt_tokens_details":null,"cached_tokens":5})").cached, 5);
  EXPECT_EQ(usage(R"({"completion_tokens_details":{"reasoning_tokens":6}})").reasoning, 6);
  EXPECT_EQ(usage(R"({"reasoning_tokens":7})").reasoning, 7);
  EXPECT_FALSE(usage(R"({"prompt_tokens":-1})").prompt);
  EXPECT_FALSE(usage(R"({"prompt_tokens":"many"})").prompt);
}

TEST(AnswerReader, ThinkingMayBeCalledReasoning) {
  Reading reading;
  ASSERT_TRUE(reading.feed(lines({Server::delta(R"("reasoning":"so")")})));
  EXPECT_EQ(reading.piece.reasoning, "so");
}

TEST(AnswerReader, CallsGetIdsOfOursAndComeOneAfterTheOther) {
  Reading reading;
  ASSERT_TRUE(reading.feed(lines(
      {Server::delta(R"("tool_calls":[{"index":0,"id":"x","type":"function","function":{"name":"f","arguments":""}}])"),
       Server::delta(R"("tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}])"),
       Server::delta(R"("tool_calls":[{"index":0,"function":{"arguments":"1}"}}])"),
       Server::delta(R"("tool_calls":[{"index":1,"id":"y","function":{"name":"g","arguments":"{}"}}])", "stop")})));
  ASSERT_EQ(reading.piece.calls.size(), 2U);
  EXPECT_EQ(reading.piece.calls[0], (ToolCallDelta{0, "call_00_suffix", "f", R"({"a":1})"}));
  EXPECT_EQ(reading.piece.calls[1], (ToolCallDelta{1, "call_01_suffix", "g", "{}"}));
  EXPECT_EQ(reading.reader.finish(), FinishReason::kToolCalls) << "also when the engine says stop";
}

TEST(AnswerReader, CallsWithoutAnIndexBeginWithAnId) {
  Reading reading;
  ASSERT_TRUE(reading.feed(lines({Server::delta(R"("tool_calls":[{"id":"x","function":{"name":"f","arguments":"{"}}])"),
                                  Server::delta(R"("tool_calls":[{"function":{"arguments":"}"}}])"),
                                  Server::delta(R"("tool_calls":[{"id":"y","function":{"name":"g","arguments":"{}"}}])")})));
  ASSERT_EQ(reading.piece.calls.size(), 2U);
  EXPECT_EQ(reading.piece.calls[0].arguments, "{}");
  EXPECT_EQ(reading.piece.calls[1].name, "g");
}

TEST(AnswerReader, ARawAnswerIsText) {
  Reading reading(AnswerReader::Kind::kText);
  ASSERT_TRUE(reading.feed(lines({R"({"choices":[{"index":0,"text":"moon","finish_reason":"stop","stop_reason":"END"}]})"})));
  EXPECT_EQ(reading.piece.content, "moon");
  EXPECT_EQ(reading.reader.stop_text(), "END");
}

TEST(AnswerReader, WhatCannotBeReadIsAnError) {
  for (const std::string& event : {std::string("{"), std::string("[]"), std::string(R"({"choices":7})"),
                                   std::string(R"({"choices":[1]})"), Server::delta(R"("content":7)"),
                                   Server::delta(R"("tool_calls":[{"index":3,"function":{"name":"f"}}])"),
                                   Server::delta(R"("tool_calls":[{"index":0,"function":{"arguments":"{}"}}])")}) {
    Reading reading;
    const Status read = reading.feed(lines({event}));
    ASSERT_FALSE(read) << event;
    EXPECT_EQ(read.error().reason, "upstream_malformed") << event;
    EXPECT_FALSE(reading.feed(lines({Server::delta(R"("content":"more")")}))) << "nothing is read behind it";
    EXPECT_EQ(reading.piece.content, "");
  }
}

TEST(AnswerReader, EnginesErrorsAndGivenUpAnswersAreErrors) {
  const auto reason = [](const std::string& event) {
    Reading reading;
    const Status read = reading.feed(lines({event}));
    return read ? std::string() : read.error().reason;
  };
  EXPECT_EQ(reason(R"({"error":{"message":"out of memory","code":500}})"), "upstream_failed");
  EXPECT_EQ(reason(R"({"object":"error","message":"no"})"), "upstream_failed");
  EXPECT_EQ(reason(Server::delta("", "content_filter")), "upstream_filtered");
  EXPECT_EQ(reason(Server::delta("", "abort")), "upstream_aborted");
  EXPECT_EQ(reason(Server::delta("", "stop")), "");
}

TEST(AnswerReader, NothingGrowsWithoutEnd) {
  AnswerReader::Limits limits;
  limits.text_bytes_max = 10;
  Reading text(AnswerReader::Kind::kChat, limits);
  const Status long_text = text.feed(lines({Server::delta(R"("content":"0123456789x")")}));
  ASSERT_FALSE(long_text);
  EXPECT_EQ(long_text.error().reason, "upstream_oversize");
  Reading line;
  const Status long_line = line.feed("data: " + std::string(sse::Parser::kEventBytesMax, 'x'));
  ASSERT_FALSE(long_line);
  EXPECT_EQ(long_line.error().reason, "upstream_oversize");
}

TEST(AnswerReader, EveryStatusHasAReasonAndOursAreNotTheClients) {
  EXPECT_EQ(error_of_status(400, R"({"error":{"message":"too long"}})").message, "the engine behind this model refuses the request: too long");
  EXPECT_EQ(error_of_status(400, "").code, Code::kInvalidArgument);
  EXPECT_EQ(error_of_status(401, R"({"error":{"message":"key sk-1"}})").message.find("sk-1"), std::string::npos);
  EXPECT_EQ(error_of_status(302, "").reason, "upstream_redirected");
  EXPECT_EQ(error_of_status(404, "").reason, "upstream_no_model");
  EXPECT_EQ(error_of_status(429, "").reason, "upstream_busy");
  EXPECT_EQ(error_of_status(503, "").reason, "upstream_busy");
  EXPECT_EQ(error_of_status(500, "").reason, "upstream_failed");
}

}  // namespace
}  // namespace tidegate::worker::external::answer_reader_test
