// Packed weights in a file: the same bits as packed in memory, and never believed without a reason.
#include "worker/backend/cpu/pack_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tests/unit/worker/backend/golden_backend.h"
#include "worker/backend/load.h"
#include "worker/model/model_files.h"

namespace tidegate::worker::pack_cache_test {
namespace {

struct Loaded {
  LoadReport report;
  std::string digest;
  std::vector<float> logits;
};

struct Setting {
  std::filesystem::path folder;
  std::int64_t bytes_max = std::int64_t{1} << 30;
  bool verify = false;
  CpuIsa isa = CpuIsa::kAuto;
};

Loaded load(const std::filesystem::path& model, const Setting& setting) {
  Loaded out;
  LoadOptions options{.threads = 1, .isa = setting.isa, .mtp = true};
  options.cache = {.folder = setting.folder, .bytes_max = setting.bytes_max, .verify = setting.verify};
  options.report = &out.report;
  auto backend = load_backend(model, options);
  EXPECT_TRUE(backend) << backend.error().to_string();
  if (!backend) return out;
  out.digest = (*backend)->facts().weights_digest;
  EXPECT_TRUE((*backend)->alloc_kv(1));
  const std::vector<TokenId> tokens{1, 7, 300, 42, 9};
  const std::vector<std::int32_t> blocks{0};
  const BatchSequence sequence{.tokens = tokens, .position = 0, .blocks = blocks, .want_logits = true};
  out.logits.resize(static_cast<std::size_t>((*backend)->facts().vocab_size));
  EXPECT_TRUE((*backend)->forward({&sequence, 1}, out.logits));
  return out;
}

std::vector<std::filesystem::path> packs_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".pack") out.push_back(entry.path());
  }
  return out;
}

std::filesystem::path only_pack(const std::filesystem::path& folder) {
  const auto packs = packs_in(folder);
  EXPECT_EQ(packs.size(), 1u);
  return packs.empty() ? std::filesystem::path() : packs.front();
}

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// By rename: a mapped file is never written.
void replace(const std::filesystem::path& path, const std::string& bytes) {
  const std::filesystem::path beside = path.string() + ".new";
  std::ofstream(beside, std::ios::binary) << bytes;
  std::filesystem::rename(beside, path);
}

/// A model of its own, whose files may be changed.
std::filesystem::path copy_of(const char* name, const test::TempDir& dir) {
  const std::filesystem::path folder = dir.path() / name;
  std::filesystem::create_directory(folder);
  for (const char* file : {"config.json", "model.safetensors"}) {
    std::filesystem::copy_file(golden_folder(name) / file, folder / file);
  }
  return folder;
}

class PackedModels : public testing::TestWithParam<const char*> {};

TEST_P(PackedModels, MappedWeightsGiveTheBitsOfPackedOnes) {
  const test::TempDir dir;
  const Setting setting{.folder = dir.path() / "cache"};
  const Loaded plain = load(golden_folder(GetParam()), {});
  const Loaded first = load(golden_folder(GetParam()), setting);
  const Loaded second = load(golden_folder(GetParam()), setting);
  EXPECT_EQ(plain.report.cache, WeightsCache::kOff);
  EXPECT_EQ(first.report.cache, WeightsCache::kBuilt);
  EXPECT_EQ(second.report.cache, WeightsCache::kHit);
  EXPECT_EQ(first.logits, plain.logits);
  EXPECT_EQ(second.logits, plain.logits);
  EXPECT_EQ(second.digest, plain.digest) << "receipts say the same";
  EXPECT_EQ(second.report.pack_bytes, static_cast<std::int64_t>(std::filesystem::file_size(only_pack(setting.folder))));
}

INSTANTIATE_TEST_SUITE_P(, PackedModels,
                         testing::Values("llama", "qwen2", "deepseek_moe", "deepseek_v2", "deepseek_v2_lite", "deepseek_v3",
                                         "deepseek_v3_fp8"),
                         [](const auto& param_info) { return std::string(param_info.param); });

TEST(PackCache, ItsSizeIsKnownBeforeItIsWritten) {
  const test::TempDir dir;
  for (const char* name : {"deepseek_v3_fp8", "qwen2"}) {
    const auto model = open_model_files(golden_folder(name));
    ASSERT_TRUE(model);
    const auto plan = plan_weights(model->spec, model->checkpoint);
    ASSERT_TRUE(plan);
    const std::int64_t expected = packed_weight_bytes(model->spec, *plan, model->checkpoint, true);
    const std::int64_t written = load(golden_folder(name), {.folder = dir.path() / "cache"}).report.pack_bytes;
    EXPECT_GE(written, expected) << name;
    EXPECT_LE(written, expected + 200'000) << name << ": gaps between parts and the index";
  }
}

TEST(PackCache, PairsForTilesAreMappedWithTheBitsOfPackedOnesAndTheirSizeIsKnown) {
  const test::TempDir dir;
  const Setting setting{.folder = dir.path(), .isa = CpuIsa::kAmxReference};
  const Loaded plain = load(golden_folder("deepseek_v3"), {.isa = CpuIsa::kAmxReference});
  const Loaded first = load(golden_folder("deepseek_v3"), setting);
  const Loaded second = load(golden_folder("deepseek_v3"), setting);
  EXPECT_EQ(first.report.cache, WeightsCache::kBuilt);
  EXPECT_EQ(second.report.cache, WeightsCache::kHit);
  EXPECT_EQ(first.logits, plain.logits);
  EXPECT_EQ(second.logits, plain.logits);
  const auto model = open_model_files(golden_folder("deepseek_v3"));
  ASSERT_TRUE(model);
  const auto plan = plan_weights(model->spec, model->checkpoint);
  ASSERT_TRUE(plan);
  const std::int64_t expected = packed_weight_bytes(model->spec, *plan, model->checkpoint, true, WeightLayout::kPairs);
  EXPECT_GE(second.report.pack_bytes, expected);
  EXPECT_LE(second.report.pack_bytes, expected + 200'000) << "gaps between parts and the index";
  EXPECT_EQ(second.report.isa, CpuIsa::kAmxReference) << "the log names the kernels";
}

TEST(PackCache, AnInstructionSetHasAFileOfItsOwn) {
  const test::TempDir dir;
  const auto widest = load(golden_folder("qwen2"), {.folder = dir.path()});
  const auto scalar = load(golden_folder("qwen2"), {.folder = dir.path(), .isa = CpuIsa::kScalar});
  EXPECT_EQ(scalar.logits, widest.logits);
  EXPECT_EQ(packs_in(dir.path()).size(), resolve_isa(CpuIsa::kAuto) == CpuIsa::kScalar ? 1u : 2u);
}

struct Damage {
  const char* name;
  void (*apply)(std::string& bytes);
};

class DamagedPack : public testing::TestWithParam<Damage> {};

TEST_P(DamagedPack, IsBuiltAgain) {
  const test::TempDir dir;
  const Setting setting{.folder = dir.path() / "cache"};
  const Loaded first = load(golden_folder("deepseek_v3"), setting);
  const auto path = only_pack(setting.folder);
  std::string bytes = read(path);
  const std::string whole = bytes;
  GetParam().apply(bytes);
  replace(path, bytes);
  const Loaded second = load(golden_folder("deepseek_v3"), setting);
  EXPECT_EQ(second.report.cache, WeightsCache::kBuilt);
  EXPECT_FALSE(second.report.note.empty()) << "the log says what was wrong";
  EXPECT_EQ(second.logits, first.logits);
  EXPECT_EQ(read(path), whole) << "the same file again";
  EXPECT_EQ(load(golden_folder("deepseek_v3"), setting).report.cache, WeightsCache::kHit);
}

INSTANTIATE_TEST_SUITE_P(, DamagedPack,
                         testing::Values(Damage{"Empty", [](std::string& b) { b.clear(); }},
                                         Damage{"CutOff", [](std::string& b) { b.resize(b.size() / 2); }},
                                         Damage{"CutAtTheEnd", [](std::string& b) { b.pop_back(); }},
                                         Damage{"Longer", [](std::string& b) { b.insert(64, 64, 'x'); }},
                                         Damage{"OtherBeginning", [](std::string& b) { b[0] = 'X'; }},
                                         Damage{"OtherVersion", [](std::string& b) { b[b.size() - 56] ^= 3; }},
                                         Damage{"IndexByte", [](std::string& b) { b[b.size() - 100] ^= 1; }},
                                         Damage{"Zeros", [](std::string& b) { b.assign(b.size(), '\0'); }}),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(PackCache, AFlippedWeightIsFoundWhenAllIsRead) {
  const test::TempDir dir;
  Setting setting{.folder = dir.path() / "cache"};
  const Loaded first = load(golden_folder("qwen2"), setting);
  const auto path = only_pack(setting.folder);
  std::string bytes = read(path);
  bytes[bytes.size() / 3] ^= 0x10;
  replace(path, bytes);
  EXPECT_EQ(load(golden_folder("qwen2"), setting).report.cache, WeightsCache::kHit) << "the index does not know";
  setting.verify = true;
  const Loaded verified = load(golden_folder("qwen2"), setting);
  EXPECT_EQ(verified.report.cache, WeightsCache::kBuilt);
  EXPECT_EQ(verified.logits, first.logits);
}

TEST(PackCache, AFileOfAnotherModelUnderThisNameIsNotUsed) {
  const test::TempDir dir;
  const Setting setting{.folder = dir.path() / "cache"};
  load(golden_folder("deepseek_v3"), setting);
  const std::string other = read(only_pack(setting.folder));
  std::filesystem::remove(only_pack(setting.folder));
  const Loaded first = load(golden_folder("deepseek_v3_fp8"), setting);
  replace(only_pack(setting.folder), other);
  const Loaded second = load(golden_folder("deepseek_v3_fp8"), setting);
  EXPECT_EQ(second.report.cache, WeightsCache::kBuilt);
  EXPECT_EQ(second.logits, first.logits);
}

TEST(PackCache, ChangedWeightsHaveAnotherDigestAndAnotherFile) {
  const test::TempDir dir;
  const auto model = copy_of("qwen2", dir);
  const Setting setting{.folder = dir.path() / "cache"};
  const Loaded first = load(model, setting);
  std::string bytes = read(model / "model.safetensors");
  bytes[bytes.size() - 2] ^= 1;  // the last tensor's last value, a little
  replace(model / "model.safetensors", bytes);
  const Loaded second = load(model, setting);
  EXPECT_EQ(second.report.cache, WeightsCache::kBuilt);
  EXPECT_NE(second.digest, first.digest);
  EXPECT_EQ(packs_in(setting.folder).size(), 2u);
}

TEST(PackCache, ACopyOfTheModelSharesTheFile) {
  const test::TempDir dir;
  const Setting setting{.folder = dir.path() / "cache"};
  const Loaded first = load(golden_folder("qwen2"), setting);
  const Loaded copy = load(copy_of("qwen2", dir), setting);
  EXPECT_EQ(copy.report.cache, WeightsCache::kHit) << "by digest, not by place";
  EXPECT_EQ(copy.digest, first.digest);
}

TEST(PackCache, AConfigThatReadsTheSameWeightsOtherwiseHasAnotherKey) {
  const auto model = open_model_files(golden_folder("deepseek_v3"));
  ASSERT_TRUE(model);
  const std::string key = pack_key(model->spec, "sha256:00", CpuIsa::kScalar, false);
  const auto changed = [&](auto change) {
    ModelSpec spec = model->spec;
    change(spec);
    return pack_key(spec, "sha256:00", CpuIsa::kScalar, false);
  };
  EXPECT_NE(pack_key(model->spec, "sha256:01", CpuIsa::kScalar, false), key);
  EXPECT_NE(pack_key(model->spec, "sha256:00", CpuIsa::kAvx2, false), key);
  EXPECT_NE(pack_key(model->spec, "sha256:00", CpuIsa::kScalar, true), key) << "with the draft layer";
  EXPECT_NE(changed([](ModelSpec& spec) { spec.nope_dim += 8; }), key);
  EXPECT_NE(changed([](ModelSpec& spec) { spec.heads *= 2; }), key);
  EXPECT_NE(changed([](ModelSpec& spec) { spec.formulas.attention.kv_b_value_first = true; }), key);
  EXPECT_NE(changed([](ModelSpec& spec) { spec.formulas.fp8.scale = Fp8Scale::kDivide; }), key);
  EXPECT_EQ(changed([](ModelSpec&) {}), key);
}

TEST(PackCache, LongestUnusedModelsGoFirst) {
  const test::TempDir dir;
  Setting setting{.folder = dir.path() / "cache"};
  load(golden_folder("qwen2"), setting);
  const auto qwen2 = only_pack(setting.folder);
  load(golden_folder("llama"), setting);
  const auto packs = packs_in(setting.folder);
  ASSERT_EQ(packs.size(), 2u);
  const auto llama = packs[0] == qwen2 ? packs[1] : packs[0];
  const auto hour = std::chrono::hours(1);
  std::filesystem::last_write_time(qwen2, std::filesystem::last_write_time(qwen2) - 2 * hour);
  std::filesystem::last_write_time(llama, std::filesystem::last_write_time(llama) - hour);
  EXPECT_EQ(load(golden_folder("qwen2"), setting).report.cache, WeightsCache::kHit) << "used now, so llama is the oldest";

  const auto model = open_model_files(golden_folder("deepseek_moe"));
  const auto plan = plan_weights(model->spec, model->checkpoint);
  const std::int64_t needed = packed_weight_bytes(model->spec, *plan, model->checkpoint, false);
  setting.bytes_max = needed + static_cast<std::int64_t>(std::filesystem::file_size(qwen2));
  EXPECT_EQ(load(golden_folder("deepseek_moe"), setting).report.cache, WeightsCache::kBuilt);
  EXPECT_TRUE(std::filesystem::exists(qwen2));
  EXPECT_FALSE(std::filesystem::exists(llama));
}

TEST(PackCache, AModelBeyondTheLimitIsServedFromMemory) {
  const test::TempDir dir;
  const Loaded loaded = load(golden_folder("qwen2"), {.folder = dir.path() / "cache", .bytes_max = 1000});
  EXPECT_EQ(loaded.report.cache, WeightsCache::kUnavailable);
  EXPECT_NE(loaded.report.note.find("weights.cache_mib"), std::string::npos) << loaded.report.note;
  EXPECT_EQ(loaded.logits, load(golden_folder("qwen2"), {}).logits);
  EXPECT_FALSE(loaded.digest.empty());
}

TEST(PackCache, AFolderThatOthersMayWriteInIsNotUsed) {
  const test::TempDir dir;
  const auto folder = dir.path() / "cache";
  std::filesystem::create_directory(folder);
  ASSERT_EQ(::chmod(folder.c_str(), 0777), 0);
  const Loaded loaded = load(golden_folder("qwen2"), {.folder = folder});
  EXPECT_EQ(loaded.report.cache, WeightsCache::kUnavailable);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST(PackCache, AFileThatOthersMayWriteIsBuiltAgain) {
  const test::TempDir dir;
  const Setting setting{.folder = dir.path() / "cache"};
  load(golden_folder("qwen2"), setting);
  ASSERT_EQ(::chmod(only_pack(setting.folder).c_str(), 0666), 0);
  const Loaded second = load(golden_folder("qwen2"), setting);
  EXPECT_EQ(second.report.cache, WeightsCache::kBuilt);
  EXPECT_NE(second.report.note.find("this user alone"), std::string::npos) << second.report.note;
}

TEST(PackCache, WhatACrashLeftBehindIsSweptAway) {
  const test::TempDir dir;
  const Setting setting{.folder = dir.path() / "cache"};
  load(golden_folder("qwen2"), setting);
  const std::string name = only_pack(setting.folder).stem();
  std::filesystem::remove(only_pack(setting.folder));
  std::ofstream(setting.folder / (name + ".unfinished")) << "half";
  EXPECT_EQ(load(golden_folder("qwen2"), setting).report.cache, WeightsCache::kBuilt);
  EXPECT_FALSE(std::filesystem::exists(setting.folder / (name + ".unfinished")));
}

TEST(PackCache, DigestsAreRememberedByIdentityAndOnlyWhole) {
  const test::TempDir dir;
  const auto cache = PackCache::open(dir.path() / "cache", 1 << 20);
  ASSERT_TRUE(cache) << cache.error().to_string();
  const std::string digest = "sha256:" + std::string(64, 'a');
  EXPECT_EQ(cache->find_digest("1 2 3 x\n"), std::nullopt);
  cache->remember_digest("1 2 3 x\n", digest);
  EXPECT_EQ(cache->find_digest("1 2 3 x\n"), digest);
  EXPECT_EQ(cache->find_digest("1 2 4 x\n"), std::nullopt) << "a file that was touched";
  for (const auto& entry : std::filesystem::directory_iterator(dir.path() / "cache")) {
    std::string text = read(entry.path());
    text[text.size() - 20] = 'b';
    replace(entry.path(), text);
  }
  EXPECT_EQ(cache->find_digest("1 2 3 x\n"), std::nullopt) << "its checksum is wrong";
}

TEST(PackCache, RememberedDigestsAreBounded) {
  const test::TempDir dir;
  const auto cache = PackCache::open(dir.path() / "cache", 1 << 20);
  ASSERT_TRUE(cache);
  for (int i = 0; i < 300; ++i) cache->remember_digest(std::to_string(i) + "\n", "sha256:" + std::string(64, 'a'));
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path() / "cache")) files += entry.is_regular_file() ? 1 : 0;
  EXPECT_LE(files, 256u);
}

/// A pack of nothing: head, index and tail.
Result<PackFile> build(const PackCache& cache, const std::string& key, std::int64_t bytes) {
  return cache.find_or_build(key, bytes, PackCheck::kIndex, [](PackStore&) {});
}

std::optional<PackCache> open_cache(const std::filesystem::path& folder, PackCache::Settings settings) {
  auto cache = PackCache::open(folder, std::move(settings));
  EXPECT_TRUE(cache) << cache.error().to_string();
  return cache ? std::optional(*std::move(cache)) : std::nullopt;
}

TEST(PackCache, AGoodFileOutlivesAMomentWithoutFileHandles) {
  const test::TempDir dir;
  const auto cache = open_cache(dir.path() / "cache", {.bytes_max = 1 << 20, .free_bytes = {}});
  ASSERT_TRUE(cache && build(*cache, "k", 1));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto found = cache->find("k", PackCheck::kIndex);
  const auto built = build(*cache, "k", 1);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().reason, "file_error");
  EXPECT_FALSE(is_useless_pack(found.error()));
  EXPECT_FALSE(built);
  EXPECT_TRUE(cache->find("k", PackCheck::kIndex));
}

TEST(PackCache, OnlyAFileThatIsAtFaultIsOfNoUse) {
  const test::TempDir dir;
  const auto cache = open_cache(dir.path() / "cache", {.bytes_max = 1 << 20, .free_bytes = {}});
  ASSERT_TRUE(cache && build(*cache, "k", 1));
  EXPECT_FALSE(is_useless_pack(cache->find("other", PackCheck::kIndex).error())) << "there is none";
  replace(only_pack(dir.path() / "cache"), "no pack");
  EXPECT_TRUE(is_useless_pack(cache->find("k", PackCheck::kIndex).error()));
  ASSERT_EQ(::chmod(only_pack(dir.path() / "cache").c_str(), 0666), 0);
  EXPECT_TRUE(is_useless_pack(cache->find("k", PackCheck::kIndex).error()));
}

TEST(PackCache, AWorkerThatStandsStillWhileItPacksKeepsNobodyFromStarting) {
  const test::TempDir dir;
  PackCache::Settings settings{.bytes_max = 1 << 20, .lock_limit = std::chrono::milliseconds(0), .free_bytes = {}};
  const auto hasty = open_cache(dir.path() / "cache", settings);
  settings.lock_limit = std::chrono::minutes(10);
  const auto patient = open_cache(dir.path() / "cache", settings);
  ASSERT_TRUE(hasty && patient);
  const int held = ::open((dir.path() / "cache/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(held, 0);
  ASSERT_EQ(::flock(held, LOCK_EX), 0);
  const auto refused = build(*hasty, "k", 1);
  auto waiting = std::async(std::launch::async, [&] { return build(*patient, "k", 1).has_value(); });
  ::close(held);
  EXPECT_TRUE(waiting.get()) << "it goes on when the other one has gone";
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "pack_busy");
}

/// Files of one size on a disk that has room for so many bytes.
class SmallDisk : public testing::Test {
 protected:
  SmallDisk() {
    cache = open_cache(folder, {.bytes_max = 1 << 20, .free_bytes = [this](const std::filesystem::path&) { return room(); }});
    EXPECT_TRUE(build(*cache, "a", 1));
    bytes = static_cast<std::int64_t>(std::filesystem::file_size(only_pack(folder)));
    EXPECT_TRUE(build(*cache, "b", 1));
    const auto old = only_pack_of("a");
    std::filesystem::last_write_time(old, std::filesystem::last_write_time(old) - std::chrono::hours(1));
  }
  std::optional<std::int64_t> room() const {
    std::int64_t left = disk_bytes;
    for (const auto& pack : packs_in(folder)) left -= static_cast<std::int64_t>(std::filesystem::file_size(pack));
    return left;
  }
  /// The one that holds the key.
  std::filesystem::path only_pack_of(const std::string& key) const {
    for (const auto& pack : packs_in(folder)) {
      if (PackFile::open(pack, key, PackCheck::kIndex)) return pack;
    }
    ADD_FAILURE() << key;
    return {};
  }
  bool has(const std::string& key) const { return cache->find(key, PackCheck::kIndex).has_value(); }

  test::TempDir dir;
  std::filesystem::path folder = dir.path() / "cache";
  std::int64_t disk_bytes = 1 << 20;
  std::int64_t bytes = 0;
  std::optional<PackCache> cache;
};

TEST_F(SmallDisk, TheLongestUnusedGoesWhereTheDiskHasNoRoom) {
  disk_bytes = 2 * bytes + 10;
  EXPECT_TRUE(build(*cache, "c", bytes));
  EXPECT_TRUE(has("b") && has("c"));
  EXPECT_FALSE(has("a"));
}

TEST_F(SmallDisk, NothingGoesWhereAllOfItWouldNotBeEnough) {
  disk_bytes = 2 * bytes + 10;
  const auto built = build(*cache, "c", 2 * bytes + 11);
  ASSERT_FALSE(built);
  EXPECT_EQ(built.error().reason, "disk_full");
  EXPECT_TRUE(has("a") && has("b"));
}

TEST(Checkpoint, ItsFingerprintChangesWithTheFileAndNotWithReading) {
  const test::TempDir dir;
  const auto model = copy_of("qwen2", dir);
  const std::string first = Checkpoint::open(model)->fingerprint();
  EXPECT_EQ(Checkpoint::open(model)->fingerprint(), first);
  replace(model / "model.safetensors", read(model / "model.safetensors"));
  EXPECT_NE(Checkpoint::open(model)->fingerprint(), first) << "the same bytes, but another file";
}

}  // namespace
}  // namespace tidegate::worker::pack_cache_test
