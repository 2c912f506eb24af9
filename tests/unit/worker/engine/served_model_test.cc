#include "worker/engine/served_model.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace tidegate::worker {
namespace {

namespace fs = std::filesystem;

class ServedModelTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
      fs::copy_file(fs::path(TG_SOURCE_DIR "/models/tang-moe") / name, dir_.path() / name);
    }
  }
  void write(const char* name, const char* text) { std::ofstream(dir_.path() / name) << text; }
  test::TempDir dir_;
};

TEST_F(ServedModelTest, TheDemoModelSamplesAtPointSeven) {
  const auto model = load_served_model(TG_SOURCE_DIR "/models/tang-moe");
  ASSERT_TRUE(model) << model.error().to_string();
  EXPECT_DOUBLE_EQ(model->defaults.temperature, 0.7);
  EXPECT_DOUBLE_EQ(model->defaults.top_p, 0.95);
  EXPECT_THAT(model->end_tokens, testing::ElementsAre(1));
  EXPECT_EQ(model->tokenizer->vocab_limit(), 6128);
}

TEST_F(ServedModelTest, TheCheckpointsOwnDefaultsHoldWithoutAnOperatorsFile) {
  const auto model = load_served_model(dir_.path());
  ASSERT_TRUE(model) << model.error().to_string();
  EXPECT_DOUBLE_EQ(model->defaults.temperature, 0.6);
}

TEST_F(ServedModelTest, SeveralEndTokensAreKept) {
  write("generation_config.json", R"({"eos_token_id": [1, 6118]})");
  const auto model = load_served_model(dir_.path());
  ASSERT_TRUE(model) << model.error().to_string();
  EXPECT_THAT(model->end_tokens, testing::ElementsAre(1, 6118));
}

TEST_F(ServedModelTest, ADefaultOutsideItsRangeIsRefused) {
  for (const char* text :
       {R"({"temperature": 3})", R"({"top_p": 0})", R"({"top_k": -1})", R"({"eos_token_id": "x"})"}) {
    write("tidegate.json", text);
    const auto model = load_served_model(dir_.path());
    ASSERT_FALSE(model) << text;
    EXPECT_EQ(model.error().code, Code::kInvalidArgument);
  }
}

TEST_F(ServedModelTest, AnotherChatTemplateIsRefused) {
  write("tokenizer_config.json", R"({"chat_template": "{{ messages }}"})");
  const auto model = load_served_model(dir_.path());
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().reason, "chat_template_unsupported");
}

}  // namespace
}  // namespace tidegate::worker
