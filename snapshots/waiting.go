package snapshots

// waiting is what comes of a file whose size nobody knows before its end, although the header that
// stands before it in the package says it: it is compressed as it comes, and waits.
type waiting struct {
	p      *packer
	most   int // compressed bytes that wait in memory
	size   int64
	last   []byte // what is no frame yet
	frames []*frame
	known  int // the first so many are compressed, and counted in held
	moved  int // the first so many are in the spill
	held   int // bytes in memory
	spill  *spill
}

func (p *packer) waiting(most int) *waiting {
	c := &waiting{p: p, most: most, last: p.buffer()}
	p.contents = append(p.contents, c)
	return c
}

func (c *waiting) Write(b []byte) (n int, err error) {
	for n < len(b) {
		m := copy(c.last[len(c.last):c.p.frame], b[n:])
		c.last = c.last[:len(c.last)+m]
		n += m
		c.size += int64(m)
		if len(c.last) == c.p.frame {
			if err := c.cut(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (c *waiting) cut() error {
	if len(c.last) == 0 {
		return nil
	}
	var f *frame
	f, c.last = c.p.cut(c.last)
	c.frames = append(c.frames, f)
	return c.room()
}

// hole adds n zeros. Many of them take no more time than a few.
func (c *waiting) hole(n int64) error {
	if size := int64(c.p.frame); n >= size {
		if err := c.cut(); err != nil {
			return err
		}
		times := n / size
		c.frames = append(c.frames, &frame{size: c.p.frame, times: int(times), packed: c.p.zero.packed})
		c.size += times * size
		n -= times * size
	}
	for n > 0 {
		m, err := c.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return err
		}
		n -= int64(m)
	}
	return nil
}

// room keeps what waits in memory within its bound.
func (c *waiting) room() error {
	for ; c.known < len(c.frames)-cap(c.p.buffers); c.known++ { // the newest may not be compressed yet
		if f := c.frames[c.known]; f.done != nil { // or it is of zeros
			<-f.done
			c.held += len(f.packed)
		}
	}
	for ; c.held > c.most && c.moved < c.known; c.moved++ {
		if err := c.move(c.frames[c.moved]); err != nil {
			return err
		}
	}
	return nil
}

func (c *waiting) move(f *frame) (err error) {
	if f.done == nil {
		return nil
	}
	if c.spill == nil {
		if c.spill, err = c.p.spillAt(); err != nil {
			return err
		}
	}
	at, err := c.spill.put(f.packed)
	if err != nil {
		return err
	}
	c.held -= len(f.packed)
	f.packed, f.aside = nil, &at
	return nil
}

// end adds the file to the stream as a member, now that all is known of it, and makes room for another.
func (c *waiting) end(m member) error {
	header, err := m.header()
	if err != nil {
		return err
	}
	if err := c.p.write(header); err != nil {
		return err
	}
	if len(c.frames) > 0 {
		if err := c.p.flush(); err != nil {
			return err
		}
		if err := c.p.drain(0); err != nil {
			return err
		}
	}
	for i, f := range c.frames {
		c.frames[i] = nil
		if err := c.put(f); err != nil {
			return err
		}
	}
	if err := c.p.write(c.last); err != nil {
		return err
	}
	c.spill.reset()
	c.size, c.last, c.frames, c.known, c.moved, c.held = 0, c.last[:0], c.frames[:0], 0, 0, 0
	return c.p.write(m.padding())
}

func (c *waiting) put(f *frame) error {
	if f.done != nil {
		<-f.done
	}
	packed := f.packed
	if f.aside != nil {
		var err error
		if packed, err = c.spill.get(*f.aside); err != nil {
			return err
		}
	}
	return c.p.put(packed, f.size, f.times)
}
