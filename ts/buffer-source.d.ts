// typed-array-utils ships TypeScript source that names this DOM type, which Node's own types do not have.
type BufferSource = ArrayBufferView | ArrayBuffer;
