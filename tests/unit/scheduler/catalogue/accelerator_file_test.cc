#include "scheduler/catalogue/accelerator_file.h"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/support/temp_dir.h"

namespace tidegate::scheduler::accelerator_file_test {
namespace {

std::string document(std::string_view members) {
  return std::string(R"({"accelerators": [{"name": "x", "memory_gib": 79.6)") + std::string(members) + "}]}";
}

std::string refused_field(const std::string& text) {
  AcceleratorTable table;
  const Status read = read_accelerators(text, table);
  return read ? "accepted" : read.error().field;
}

TEST(AcceleratorFile, NumbersAreTakenInTheirUnitsAndAbsentOnesAreNotKnown) {
  AcceleratorTable table;
  ASSERT_TRUE(read_accelerators(document(R"(, "bandwidth_gb_s": 3350, "bf16_tflops": 119.5, "per_node": 8,
    "price_micro_usd_per_hour": 2500000, "aliases": ["y"], "engines": ["vllm"])"),
                                table));
  const AcceleratorKind& kind = **table.find("y");
  EXPECT_EQ(kind.memory_bytes, 85'469'849'190);
  EXPECT_EQ(kind.bandwidth_bytes_per_s, 3'350'000'000'000);
  EXPECT_EQ(kind.bf16_flops, 119'500'000'000'000);
  EXPECT_EQ(kind.price_micro_usd_per_hour, 2'500'000);
  EXPECT_EQ(kind.fp8_flops, 0);
  EXPECT_EQ(kind.link_bytes_per_s, 0);
}

TEST(AcceleratorFile, BadMembersAreRefusedByName) {
  EXPECT_EQ(refused_field(document("")), "accepted");
  EXPECT_EQ(refused_field(document(R"(, "memory": 5)")), "accelerators[0].memory");
  EXPECT_EQ(refused_field(document(R"(, "bandwidth_gb_s": 0)")), "accelerators[0].bandwidth_gb_s");
  EXPECT_EQ(refused_field(document(R"(, "bf16_tflops": "989")")), "accelerators[0].bf16_tflops");
  EXPECT_EQ(refused_field(document(R"(, "per_node": 0)")), "accelerators[0].per_node");
  EXPECT_EQ(refused_field(document(R"(, "engines": [1])")), "accelerators[0].engines");
  EXPECT_EQ(refused_field(R"({"accelerators": []})"), "accelerators");
  EXPECT_EQ(refused_field(R"({"accelerators": [{"memory_gib": 1}]})"), "accelerators[0].name");
}

TEST(AcceleratorFile, FolderIsReadWholeAndTheBadFileNamed) {
  test::TempDir folder;
  EXPECT_EQ(load_accelerators(folder.path()).error().reason, "no_accelerators");
  std::ofstream(folder.file("a.json")) << document("");
  ASSERT_TRUE(load_accelerators(folder.path()));
  std::ofstream(folder.file("b.json")) << document("");
  const auto loaded = load_accelerators(folder.path());
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().reason, "duplicate_accelerator");
  EXPECT_THAT(loaded.error().message, ::testing::HasSubstr("b.json"));
}

}  // namespace
}  // namespace tidegate::scheduler::accelerator_file_test
