#include "worker/engine/schedule.h"

#include <gmock/gmock.h>

#include "worker/backend/backend.h"

namespace tidegate::worker {
namespace {

using testing::ElementsAre;

class ScheduleTest : public testing::Test {
 protected:
  explicit ScheduleTest() : pool_(4) {}

  std::unique_ptr<Sequence> sequence(SequenceHandle handle, std::int32_t prompt) {
    return std::make_unique<Sequence>(
        Sequence::Request{.handle = handle,
                          .prompt = std::vector<TokenId>(static_cast<std::size_t>(prompt), 5),
                          .sampler = {},
                          .completion_max = 1000,
                          .stops = {}},
        pool_);
  }

  std::vector<SequenceHandle> admitted(Schedule& schedule) {
    std::vector<SequenceHandle> handles;
    for (const Sequence* entered : schedule.admit()) handles.push_back(entered->handle());
    return handles;
  }

  std::vector<std::pair<SequenceHandle, std::int32_t>> planned(Schedule& schedule, bool carry_out = true) {
    std::vector<std::pair<SequenceHandle, std::int32_t>> parts;
    for (const StepPart& part : schedule.plan()) {
      parts.emplace_back(part.sequence->handle(), part.count);
      if (carry_out) part.sequence->advance(part.count);
    }
    return parts;
  }

  KvPool pool_;
};

using Part = std::pair<SequenceHandle, std::int32_t>;

TEST_F(ScheduleTest, NobodyOvertakesTheHeadOfTheQueue) {
  Schedule schedule({8, 64}, pool_);
  schedule.add(sequence(1, 64));   // two blocks: 64 tokens and the next one
  schedule.add(sequence(2, 150));  // three: does not fit beside it
  schedule.add(sequence(3, 1));    // would fit
  EXPECT_THAT(admitted(schedule), ElementsAre(1));
  schedule.remove(1);
  EXPECT_THAT(admitted(schedule), ElementsAre(2));
}

TEST_F(ScheduleTest, AdmissionLeavesEachRunningSequenceABlockToGrow) {
  Schedule schedule({8, 64}, pool_);
  schedule.add(sequence(1, 10));
  schedule.add(sequence(2, 10));
  schedule.add(sequence(3, 10));
  // After two, two blocks are free, and both belong to the growth of those two.
  EXPECT_THAT(admitted(schedule), ElementsAre(1, 2));
}

TEST_F(ScheduleTest, ABatchHasItsLimit) {
  Schedule schedule({1, 64}, pool_);
  schedule.add(sequence(1, 1));
  schedule.add(sequence(2, 1));
  EXPECT_THAT(admitted(schedule), ElementsAre(1));
  EXPECT_EQ(schedule.waiting(), 1);
}

TEST_F(ScheduleTest, DecodeComesFirstAndPrefillSharesTheRestOfTheBudget) {
  Schedule schedule({8, 16}, pool_);
  schedule.add(sequence(1, 20));
  schedule.add(sequence(2, 1));
  (void)schedule.admit();
  EXPECT_THAT(planned(schedule), ElementsAre(Part{2, 1}, Part{1, 15}));
  EXPECT_THAT(planned(schedule), ElementsAre(Part{1, 5}));
}

TEST_F(ScheduleTest, TheYoungestLeavesWhenBlocksRunOut) {
  Schedule schedule({8, 256}, pool_);
  schedule.add(sequence(1, 63));
  schedule.add(sequence(2, 63));
  ASSERT_THAT(admitted(schedule), ElementsAre(1, 2));
  (void)planned(schedule);
  EXPECT_EQ(pool_.blocks_free(), 2);
  KvBlocks hog(pool_);
  ASSERT_TRUE(hog.try_cover(2 * kKvBlockTokens));
  // Both need their second block now, and the pool has none: the older takes the younger's.
  Sequence& first = *schedule.find(1);
  Sequence& second = *schedule.find(2);
  const auto tokenizer = Tokenizer::load(TG_SOURCE_DIR "/models/tang-moe");
  ASSERT_TRUE(tokenizer);
  const TokenRules rules{&*tokenizer, {1}, 6112};
  for (int n = 0; n < 2; ++n) {
    (void)first.on_token(7, rules);
    (void)second.on_token(7, rules);
  }
  first.advance(1);
  second.advance(1);
  schedule.add(sequence(3, 1));
  EXPECT_THAT(planned(schedule), ElementsAre(Part{1, 1}));
  EXPECT_EQ(schedule.running(), 1);
  EXPECT_EQ(schedule.waiting(), 2);
  EXPECT_EQ(second.computed(), 0);
  EXPECT_EQ(second.length(), 65);
  EXPECT_EQ(schedule.preemptions_total(), 1);
  // It keeps its place before everyone who has not been in the batch yet.
  schedule.remove(1);
  hog.release();
  EXPECT_THAT(admitted(schedule), ElementsAre(2, 3));
}

TEST_F(ScheduleTest, ARemovedSequenceGivesItsBlocksBackAtOnce) {
  Schedule schedule({8, 64}, pool_);
  schedule.add(sequence(1, 100));
  (void)schedule.admit();
  EXPECT_EQ(pool_.blocks_used(), 2);
  schedule.remove(1);
  EXPECT_EQ(pool_.blocks_used(), 0);
  EXPECT_TRUE(schedule.empty());
}

TEST(KvBlocks, TakeAllOrNothing) {
  KvPool pool(3);
  KvBlocks blocks(pool);
  EXPECT_FALSE(blocks.try_cover(3 * kKvBlockTokens + 1));
  EXPECT_EQ(pool.blocks_used(), 0);
  EXPECT_TRUE(blocks.try_cover(kKvBlockTokens + 1));
  EXPECT_THAT(blocks.table(), ElementsAre(0, 1));
  EXPECT_TRUE(blocks.try_cover(1));
  EXPECT_EQ(pool.blocks_used(), 2);
}

TEST(KvBlocks, MoveWithTheirOwner) {
  KvPool pool(3);
  KvBlocks first(pool);
  ASSERT_TRUE(first.try_cover(1));
  KvBlocks second(std::move(first));
  EXPECT_EQ(pool.blocks_used(), 1);
  second = KvBlocks(pool);
  EXPECT_EQ(pool.blocks_used(), 0);
}

}  // namespace
}  // namespace tidegate::worker
