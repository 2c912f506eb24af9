#include "worker/format/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <span>
#include <string>

#include "tests/support/temp_dir.h"
#include "tests/unit/worker/format/safetensors_writer.h"

namespace tidegate::worker::safetensors_test {
namespace {

using test::TempDir;

Result<SafetensorsFile> open_with(const TempDir& dir, std::string_view header, std::string_view data) {
  const auto path = std::filesystem::path(dir.path()) / "x.safetensors";
  write_safetensors(path, header, data);
  return SafetensorsFile::open(path);
}

TEST(Safetensors, ReadsTensorsOfAllFourDtypes) {
  const TempDir dir;
  const std::string data(
      "\x00\x00\x80\x3f"
      "\x80\x3f"
      "\x00\x3c"
      "\x38\xb8",
      10);
  const auto file = open_with(dir,
                              R"({"__metadata__":{"format":"pt"},
                                  "f32":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
                                  "bf16":{"dtype":"BF16","shape":[1,1],"data_offsets":[4,6]},
                                  "f16":{"dtype":"F16","shape":[],"data_offsets":[6,8]},
                                  "fp8":{"shape":[2],"data_offsets":[8,10],"dtype":"F8_E4M3"}}   )",
                              data);
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(file->tensors().size(), 4u);
  EXPECT_EQ(to_floats(file->tensors().at("f32")), std::vector<float>({1.0f}));
  EXPECT_EQ(to_floats(file->tensors().at("bf16")), std::vector<float>({1.0f}));
  EXPECT_EQ(to_floats(file->tensors().at("f16")), std::vector<float>({1.0f}));
  EXPECT_EQ(to_floats(file->tensors().at("fp8")), std::vector<float>({1.0f, -1.0f}));
}

TEST(Safetensors, AFileWithoutTensorsIsFine) {
  const TempDir dir;
  EXPECT_TRUE(open_with(dir, "{}", ""));
}

struct Malformed {
  const char* name;
  const char* header;
  std::size_t data_bytes;
  const char* words;  ///< must appear in the message
};

std::ostream& operator<<(std::ostream& out, const Malformed& malformed) {
  return out << malformed.name;
}

const Malformed kMalformed[] = {
    {"Overlap",
     R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
     8, "overlap"},
    {"Hole",
     R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
     12, "hole"},
    {"HoleAtTheStart", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "hole"},
    {"DataLeftOver", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 8, "8 bytes of data"},
    {"BeyondTheFile", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4, "beyond"},
    {"EndBeforeBegin", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}})", 8, "do not hold"},
    {"SizeIsNotShapeTimesDtype", R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8,
     "do not hold"},
    {"ShapeOverflows", R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
     "overflow"},
    {"NumberAboveInt64", R"({"a":{"dtype":"F32","shape":[18446744073709551617],"data_offsets":[0,4]}})", 4,
     "2^63"},
    {"NegativeNumber", R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "whole number"},
    {"FractionalNumber", R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, "not whole"},
    {"DuplicateTensor",
     R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
     4, "twice"},
    {"DuplicateMember", R"({"a":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}})", 4,
     "repeated member"},
    {"UnknownMember", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"strides":[1]}})", 4,
     "unknown"},
    {"MissingShape", R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, "lacks"},
    {"ThreeOffsets", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 4, "more than 2"},
    {"NineDimensions", R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4,
     "more than 8"},
    {"UnknownDtype", R"({"a":{"dtype":"Q4_0","shape":[1],"data_offsets":[0,4]}})", 4, "Q4_0"},
    {"EmptyName", R"({"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4, "name"},
    {"MetadataIsNotStrings", R"({"__metadata__":{"n":1}})", 0, "expected"},
    {"TextAfterTheHeader", R"({} {})", 0, "after the closing brace"},
    {"Unterminated", R"({"a":{"dtype":"F3)", 0, "without an end"},
    {"NotAnObject", "[]", 0, "expected"},
    {"NameIsNotUtf8", "{\"a\xff\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "not UTF-8"},
};

class SafetensorsMalformed : public testing::TestWithParam<Malformed> {};

TEST_P(SafetensorsMalformed, IsRefusedWithTheReason) {
  const Malformed& malformed = GetParam();
  const TempDir dir;
  const auto file = open_with(dir, malformed.header, zeros(malformed.data_bytes));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Code::kInvalidArgument);
  EXPECT_EQ(file.error().reason, "bad_safetensors");
  EXPECT_NE(file.error().message.find(malformed.words), std::string::npos) << file.error().message;
  EXPECT_NE(file.error().message.find("x.safetensors"), std::string::npos) << file.error().message;
}

INSTANTIATE_TEST_SUITE_P(, SafetensorsMalformed, testing::ValuesIn(kMalformed),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(Safetensors, HeaderLengthIsCheckedBeforeItIsBelieved) {
  const TempDir dir;
  const auto path = std::filesystem::path(dir.path()) / "x.safetensors";
  const auto open_bytes = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    return SafetensorsFile::open(path);
  };
  EXPECT_FALSE(open_bytes("")) << "empty";
  EXPECT_FALSE(open_bytes("1234567")) << "shorter than the length";
  EXPECT_FALSE(open_bytes(std::string("\x10\0\0\0\0\0\0\0{}", 10))) << "longer than the file";
  const auto huge = open_bytes(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10));
  ASSERT_FALSE(huge);
  EXPECT_NE(huge.error().message.find("at most 100000000"), std::string::npos) << huge.error().message;
}

// What is quoted may be as long as the header, and a message is a line of a log.
TEST(Safetensors, AMessageStaysShort) {
  const TempDir dir;
  const std::string text(1 << 20, 'x');
  for (const std::string& header : {R"({"a":{"dtype":")" + text + R"(","shape":[1],"data_offsets":[0,4]}})",
                                    R"({"a":{")" + text + R"(":1}})"}) {
    const auto file = open_with(dir, header, zeros(4));
    ASSERT_FALSE(file);
    EXPECT_LT(file.error().message.size(), 1024u);
  }
}

TEST(Safetensors, BytesInMemoryAreReadAsAFileIs) {
  const std::string header = R"({"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}})";
  const std::uint64_t length = header.size();
  std::string content(sizeof length, '\0');
  std::memcpy(content.data(), &length, sizeof length);
  content += header + zeros(4);
  const auto bytes = std::as_bytes(std::span(content));
  auto file = SafetensorsFile::over(bytes);
  ASSERT_TRUE(file) << file.error().to_string();
  const SafetensorsFile moved = *std::move(file);
  EXPECT_EQ(moved.tensors().at("a").bytes.data(), bytes.data() + bytes.size() - 4) << "nothing is copied";
  EXPECT_EQ(moved.identity().inode, 0u);
  EXPECT_FALSE(SafetensorsFile::over(bytes.first(bytes.size() - 1)));
}

TEST(Safetensors, AMissingFileIsNotFound) {
  const auto file = SafetensorsFile::open("/nonexistent/model.safetensors");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Code::kNotFound);
}

/// Any damage to a valid header is refused or harmless, never a crash: every prefix and every changed byte.
TEST(Safetensors, EveryTruncationAndEveryFlippedBitIsHandled) {
  const TempDir dir;
  const auto path = std::filesystem::path(dir.path()) / "x.safetensors";
  const std::string header = R"({"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}})";
  write_safetensors(path, header, zeros(12));
  std::string whole;
  {
    std::ifstream in(path, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  const auto try_bytes = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    return SafetensorsFile::open(path).has_value();
  };
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(try_bytes(whole.substr(0, size))) << size;
  for (std::size_t at = 0; at < 8 + header.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x15);
    try_bytes(changed);
  }
  EXPECT_TRUE(try_bytes(whole));
}

}  // namespace
}  // namespace tidegate::worker::safetensors_test
