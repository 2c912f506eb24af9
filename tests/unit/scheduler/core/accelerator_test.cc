#include "scheduler/core/accelerator.h"

#include <gmock/gmock.h>

namespace tidegate::scheduler {
namespace {

AcceleratorKind kind(std::string name, std::vector<std::string> aliases = {}) {
  AcceleratorKind made;
  made.name = std::move(name);
  made.aliases = std::move(aliases);
  return made;
}

TEST(AcceleratorTable, FindsByNameAndAliasInAnyCase) {
  AcceleratorTable table;
  ASSERT_TRUE(table.add(kind("h20-96", {"h20"})));
  EXPECT_EQ((*table.find("H20"))->name, "h20-96");
  EXPECT_EQ((*table.find("h20-96"))->name, "h20-96");
}

TEST(AcceleratorTable, UnknownOneIsAnsweredWithTheKnown) {
  AcceleratorTable table;
  ASSERT_TRUE(table.add(kind("a10")));
  const auto found = table.find("a11");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().reason, "unknown_accelerator");
  EXPECT_THAT(found.error().message, ::testing::HasSubstr("a10"));
}

TEST(AcceleratorTable, NamesAndAliasesShareOneSpace) {
  AcceleratorTable table;
  ASSERT_TRUE(table.add(kind("h100-80", {"h100"})));
  EXPECT_EQ(table.add(kind("h100")).error().reason, "duplicate_accelerator");
  EXPECT_EQ(table.add(kind("x", {"h100-80"})).error().reason, "duplicate_accelerator");
  EXPECT_EQ(table.kinds().size(), 1u);
  EXPECT_EQ(table.add(kind("H100")).error().reason, "bad_accelerator");
  EXPECT_EQ(table.add(kind("")).error().reason, "bad_accelerator");
}

}  // namespace
}  // namespace tidegate::scheduler
