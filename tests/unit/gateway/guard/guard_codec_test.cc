#include "gateway/adapters/guard_codec.h"

#include <gtest/gtest.h>

#include "tests/unit/gateway/guard/guard_world.h"

namespace tidegate::gateway::test {
namespace {

TEST(GuardCodec, ACheckComesOutAsItWentIn) {
  const GuardSubject subject = subject_of();
  GuardText piece = whole_text("before月 after");
  piece.origin = 9;
  piece.is_last = false;
  const GuardCheck check{subject, GuardDirection::kOutput, {piece, whole_text("two")}, 256};
  const v1::GuardRequest wire = encode_check(check);
  EXPECT_EQ(wire.texts(0).context(), "before月");
  EXPECT_EQ(wire.texts(0).piece(), " after");
  EXPECT_EQ(wire.window_bytes(), 256U);
  DecodedCheck out;
  ASSERT_TRUE(decode_check(wire, out));
  EXPECT_EQ(out.direction, GuardDirection::kOutput);
  EXPECT_EQ(out.subject.tenant, subject.tenant);
  EXPECT_EQ(out.subject.tenant_name, "acme");
  EXPECT_EQ(out.subject.model, "tang-moe");
  ASSERT_EQ(out.texts.size(), 2U);
  EXPECT_EQ(out.texts[0].all, "before月 after");
  EXPECT_EQ(out.texts[0].origin, 9U);
  EXPECT_FALSE(out.texts[0].is_last);
  EXPECT_EQ(out.texts[1].role, "user");
  EXPECT_TRUE(out.texts[1].is_last);
}

TEST(GuardCodec, ABrokenRequestIsRefusedByItsField) {
  const GuardSubject subject = subject_of();
  const GuardCheck check{subject, GuardDirection::kInput, {}, 64};
  DecodedCheck out;
  v1::GuardRequest wire = encode_check(check);
  wire.set_tenant_id("short");
  EXPECT_EQ(decode_check(wire, out).error().field, "tenant_id");
  wire = encode_check(check);
  wire.clear_direction();
  EXPECT_EQ(decode_check(wire, out).error().field, "direction");
  wire = encode_check(check);
  for (int i = 0; i < 9'000; ++i) wire.add_texts();
  EXPECT_EQ(decode_check(wire, out).error().field, "texts");
}

TEST(GuardCodec, AVerdictComesOutAsItWentIn) {
  const GuardSubject subject = subject_of();
  const GuardCheck check{subject, GuardDirection::kInput, {whole_text("one two")}, 64};
  GuardVerdict verdict;
  verdict.spans = {{0, 0, 3, "[n]"}};
  verdict.decided = {4};
  verdict.denial = GuardDenial{"stop", "no", 0};
  verdict.hits = {{"n", GuardAction::kMask}, {"stop", GuardAction::kDeny}, {"seen", GuardAction::kLog}};
  const auto out = decode_verdict(encode_verdict(verdict), check);
  ASSERT_TRUE(out);
  EXPECT_EQ(out->spans, verdict.spans);
  EXPECT_EQ(out->decided, verdict.decided);
  EXPECT_EQ(out->denial, verdict.denial);
  EXPECT_EQ(out->hits, verdict.hits);
}

TEST(GuardCodec, AShortAnswerOfAnotherServerIsUnderstood) {
  const GuardSubject subject = subject_of();
  const GuardCheck check{subject, GuardDirection::kInput, {whole_text("one"), whole_text("three")}, 64};
  v1::GuardVerdict wire;
  wire.set_action(v1::GUARD_ACTION_PASS);
  EXPECT_EQ(decode_verdict(wire, check)->decided, (std::vector<std::size_t>{3, 5}));
  wire.set_action(v1::GUARD_ACTION_DENY);
  const auto denied = decode_verdict(wire, check);
  EXPECT_EQ(denied->decided, (std::vector<std::size_t>{0, 0}));
  EXPECT_EQ(denied->denial->category, "other");
}

/// What is not said clearly lets nothing through, and nothing of it reaches a log.
TEST(GuardCodec, AnotherServersWordsAreNotBelieved) {
  const GuardSubject subject = subject_of();
  const GuardCheck check{subject, GuardDirection::kInput, {whole_text("one")}, 64};
  v1::GuardVerdict wire;
  EXPECT_EQ(decode_verdict(wire, check).error().reason, "bad_verdict") << "no action";
  wire.set_action(v1::GUARD_ACTION_LOG);
  EXPECT_FALSE(decode_verdict(wire, check));
  wire.set_action(v1::GUARD_ACTION_PASS);
  wire.add_spans()->set_end(1);
  EXPECT_FALSE(decode_verdict(wire, check)) << "PASS with spans";
  wire.clear_spans();
  wire.add_hits()->set_rule("my name is Li Wei");
  EXPECT_EQ(decode_verdict(wire, check)->hits.at(0).rule, "other");
  for (int i = 0; i < 1'000; ++i) wire.add_hits()->set_rule("r");
  EXPECT_EQ(decode_verdict(wire, check)->hits.size(), GuardLimits::kHitsMax);
}

}  // namespace
}  // namespace tidegate::gateway::test
