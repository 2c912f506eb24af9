#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/core/result.h"
#include "worker/backend/cpu/kernels.h"
#include "worker/backend/cpu/pack_store.h"
#include "worker/format/mapped_file.h"
#include "worker/format/output_file.h"

/// Packed weights in a file: written once, mapped read-only at every later start, so that loading is the page cache's work.
///
///   head   64 bytes: "TGPACK01", then zeros
///   parts  each at a multiple of 64: panels, scales, embedding tables, as they lie in memory
///   index  key, then name, kind, shape, place and CRC-32C of every part
///   tail   64 bytes: "TGPACKED", kVersion, CRC-32C of the index, where the index begins, its size, the file's size
///
/// The tail is written last and the file named after that, so a file that has one is whole. Little endian.
namespace tidegate::worker {

/// One part, or a matrix and its scales.
struct PackPart {
  bool is_table = false;
  WeightFormat format = WeightFormat::kF32;  ///< of a matrix
  Dtype dtype = Dtype::kF32;                 ///< of a table
  std::int64_t outputs = 0;                  ///< rows of a table
  std::int64_t inputs = 0;                   ///< width of a table
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint32_t crc = 0;
  std::uint64_t scales_offset = 0;
  std::uint64_t scales_bytes = 0;  ///< 0: none, and then scales_offset is 0
  std::uint32_t scales_crc = 0;
};

/// How much of a file is read before it is believed.
enum class PackCheck : std::uint8_t {
  kIndex,  ///< tail, index and its checksum, key, and that every part has the size of its shape and lies within the file
  kWhole,  ///< and the checksum of every part
};

/// A whole file, mapped. Parts die with it; moving it keeps them.
class PackFile {
 public:
  static constexpr std::uint32_t kVersion = 1;
  static constexpr std::uint64_t kAlignment = 64;
  static constexpr std::uint64_t kPartsMax = 1 << 20;
  static constexpr std::uint64_t kNameBytesMax = 1 << 12;

  /// `key` must be what the file was written for. Fails: not_found; data_loss/bad_pack (says what is wrong: the file is to be
  /// written again); failed_precondition/foreign_pack (owned by another user, or writable for others: never read); internal/file_error (of the
  /// moment: it says nothing of the file).
  static Result<PackFile> open(const std::filesystem::path& path, std::string_view key, PackCheck check);
  /// The same over bytes in memory, which begin at a multiple of kAlignment and outlive it. Fails: data_loss/bad_pack.
  static Result<PackFile> over(std::span<const std::byte> bytes, std::string_view key, PackCheck check);

  /// nullptr when absent.
  [[nodiscard]] const PackPart* find(std::string_view name) const;
  [[nodiscard]] std::span<const std::byte> bytes_of(const PackPart& part) const;
  [[nodiscard]] std::span<const float> scales_of(const PackPart& part) const;
  [[nodiscard]] const std::map<std::string, PackPart, std::less<>>& parts() const { return parts_; }
  [[nodiscard]] std::uint64_t size() const { return file_.bytes().size(); }

 private:
  explicit PackFile(MappedFile file) : file_(std::move(file)) {}
  Status read(std::string_view key, PackCheck check);
  MappedFile file_;
  std::map<std::string, PackPart, std::less<>> parts_;
};

/// Writes a pack file part by part; holds one of them at a time.
class PackWriter final : public PackStore {
 public:
  /// Fails: as OutputFile::create.
  static Result<PackWriter> create(const std::filesystem::path& path);

  /// Empty ones come back: what was packed is in the file. After a failure nothing is packed any more.
  PackedMatrix matrix(const std::string& name, const std::function<PackedMatrix()>& pack) override;
  EmbeddingTable table(const std::string& name, const TensorView& tensor) override;

  /// Index and tail; the file is on the disk then. Fails: with what a part failed; as OutputFile does. Once.
  Status finish(std::string_view key);

 private:
  explicit PackWriter(OutputFile out) : out_(std::move(out)) {}
  Status write_part(std::span<const std::byte> bytes, std::uint64_t& offset, std::uint32_t& crc);
  void add(const std::string& name, PackPart part, std::span<const std::byte> bytes, std::span<const float> scales);
  OutputFile out_;
  Status status_;
  std::map<std::string, PackPart> parts_;
};

/// Hands out the parts of a file. One that is absent, or a table of another shape than what is asked for, is packed anew and
/// counted: a file with such a part was not written by this code for this model. Shapes of matrices are the key's business.
class PackReader final : public PackStore {
 public:
  explicit PackReader(const PackFile& file) : file_(file) {}
  PackedMatrix matrix(const std::string& name, const std::function<PackedMatrix()>& pack) override;
  EmbeddingTable table(const std::string& name, const TensorView& tensor) override;
  [[nodiscard]] int missing() const { return missing_; }

 private:
  const PackFile& file_;
  int missing_ = 0;
};

}  // namespace tidegate::worker
